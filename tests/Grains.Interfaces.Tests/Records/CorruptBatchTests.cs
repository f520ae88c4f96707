using System.Buffers.Binary;
using System.IO.Compression;
using OrleansStreams.Errors;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Records;

public class CorruptBatchTests
{
    private static readonly byte[] Good = GoldenBytes.Read("plain");

    public static TheoryData<string, int, string> DamagedHeaders() => new()
    {
        { "magic 1", RecordBatchHeader.MagicAt, "01" },
        { "magic 3", RecordBatchHeader.MagicAt, "03" },
        { "length below the header", RecordBatchHeader.LengthAt, "00000030" },
        { "length past the data", RecordBatchHeader.LengthAt, "00000053" },
        { "length negative", RecordBatchHeader.LengthAt, "ffffffff" },
        { "length so negative that a subtraction overflows", RecordBatchHeader.LengthAt, "80000042" },
        { "length huge", RecordBatchHeader.LengthAt, "7fffffff" },
        { "count negative", RecordBatchHeader.RecordCountAt, "ffffffff" },
        { "count above the offsets", RecordBatchHeader.RecordCountAt, "00000004" },
        { "last offset delta negative", RecordBatchHeader.LastOffsetDeltaAt, "ffffffff" },
        { "base offset negative", RecordBatchHeader.BaseOffsetAt, "ffffffffffffffff" },
        { "offsets past the end of a long", RecordBatchHeader.BaseOffsetAt, "7ffffffffffffffd" },
    };

    public static TheoryData<string, string, int, string> DamagedRecords() => new()
    {
        { "fewer records than counted", "a record is longer than the batch", 2, Record("00 00 00 01 14 61616161616161616161 00") },
        { "bytes after the last record", "left over after the last record", 1, Record("00 00 00 01 01 00") + "00" },
        { "record length past the batch", "a record is longer than the batch", 1, "10 00 00 00 01 01 00" },
        { "record length negative", "a record is longer than the batch", 1, "01 00 00 00 01 01 00" },
        { "record length zero", "a record's timestamp is cut off", 1, "00 00 00 00 01 01 00" },
        { "record length cut off", "a record is longer than the batch", 1, "ff ff ff ff ff ff ff" },
        { "timestamp delta too long", "a record's timestamp is cut off", 1, Record("00 ffffffffffffffffffff01 00 01 01 00") },
        { "key past the record", "key passes the record's end", 2, Record("00 00 00 06 01 00") + Record("00 00 02 01 01 00") },
        { "key length below -1", "key passes the record's end", 1, Record("00 00 00 03 01 00") },
        { "value past the record", "value passes the record's end", 2, Record("00 00 00 01 04 00") + Record("00 00 02 01 01 00") },
        { "value length below -1", "value passes the record's end", 1, Record("00 00 00 01 05 00") },
        { "value length huge", "value passes the record's end", 1, Record("00 00 00 01 feffffff0f 00") },
        { "header count negative", "header count is wrong", 1, Record("00 00 00 01 01 01") },
        { "header count without headers", "header's key is missing", 1, Record("00 00 00 01 01 02") },
        { "header count huge", "header's key is missing", 1, Record("00 00 00 01 01 feffffff0f") },
        { "header key null", "header's key is missing", 1, Record("00 00 00 01 01 02 01 01") },
        { "header key past the record", "header's key is missing", 1, Record("00 00 00 01 01 02 06 61 01") },
        { "header value past the record", "header's value passes", 1, Record("00 00 00 01 01 02 02 61 08") },
        { "bytes left in the record", "length does not match its fields", 1, Record("00 00 00 01 01 00 00") },
        { "offset delta negative", "offsets do not increase", 1, Record("00 00 01 01 01 00") },
        { "offset delta repeated", "offsets do not increase", 2, Record("00 00 00 01 01 00") + Record("00 00 00 01 01 00") },
        { "offset delta past the last", "offsets do not increase", 2, Record("00 00 00 01 01 00") + Record("00 00 04 01 01 00") },
    };

    [Theory]
    [MemberData(nameof(DamagedHeaders))]
    public void A_damaged_header_is_refused_as_corrupt(string what, int at, string hex)
    {
        var batch = Good.ToArray();
        Convert.FromHexString(hex).CopyTo(batch, at);
        RecordBatch.TryReadHeader(batch, out var header).ShouldBe(StreamsErrorCode.CorruptBatch, what);
        header.ShouldBe(default);
        RecordBatch.Validate(batch, out _).ShouldBe(StreamsErrorCode.CorruptBatch, what);
        ErrorOfReading(batch).Code.ShouldBe(StreamsErrorCode.CorruptBatch, what);
    }

    [Fact]
    public void A_count_that_the_bytes_cannot_hold_is_refused_before_any_record_is_read()
    {
        var batch = RecordBatches.Assemble(new byte[20], CompressionType.None, 3);
        RecordBatch.TryReadHeader(batch, out _).ShouldBe(StreamsErrorCode.CorruptBatch);
    }

    [Fact]
    public void Every_cut_and_every_flipped_bit_of_a_batch_is_noticed_except_in_offset_and_leader_epoch()
    {
        for (var length = 0; length < Good.Length; length++)
        {
            RecordBatch.Validate(Good.AsSpan(0, length), out _).ShouldBe(StreamsErrorCode.CorruptBatch, $"cut to {length}");
        }

        for (var bit = 0; bit < Good.Length * 8; bit++)
        {
            var batch = Good.ToArray();
            batch[bit / 8] ^= (byte)(1 << (bit % 8));
            var stamped = bit / 8 is < RecordBatchHeader.LengthAt or (>= RecordBatchHeader.LeaderEpochAt and < RecordBatchHeader.MagicAt);
            var expected = stamped && bit != 7 ? StreamsErrorCode.None : StreamsErrorCode.CorruptBatch; // bit 7 makes the offset negative
            RecordBatch.Validate(batch, out _).ShouldBe(expected, $"bit {bit}");
        }
    }

    [Theory]
    [MemberData(nameof(DamagedRecords))]
    public void Damaged_records_under_a_good_checksum_are_refused_as_corrupt(string what, string message, int count, string hex)
    {
        var payload = Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));
        foreach (var compression in new[] { CompressionType.None, CompressionType.Gzip, CompressionType.Snappy })
        {
            var batch = RecordBatches.Assemble(payload, compression, count);
            RecordBatch.StampCrc(batch);
            var error = ErrorOfReading(batch);
            error.Code.ShouldBe(StreamsErrorCode.CorruptBatch, $"{what}, {compression}");
            error.Message.ShouldContain(message);
        }
    }

    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(7)]
    public void An_unsupported_codec_is_a_typed_error_that_names_the_supported_ones(int codec)
    {
        var batch = Good.ToArray();
        batch[RecordBatchHeader.AttributesAt + 1] = (byte)codec;
        RecordBatch.StampCrc(batch);
        RecordBatch.Validate(batch, out var header).ShouldBe(StreamsErrorCode.UnsupportedCompressionType);
        header.RecordCount.ShouldBe(3);
        ErrorOfReading(batch).Code.ShouldBe(StreamsErrorCode.UnsupportedCompressionType);
        ErrorOfReading(batch).Message.ShouldContain("none, gzip or snappy");
        Should.Throw<StreamsException>(() => new RecordBatchBuilder((CompressionType)codec)).Code.ShouldBe(StreamsErrorCode.UnsupportedCompressionType);

        batch[^1] ^= 1;
        RecordBatch.Validate(batch, out _).ShouldBe(StreamsErrorCode.CorruptBatch);
    }

    [Theory]
    [InlineData("")] // no length
    [InlineData("ff")] // length cut off
    [InlineData("ffffffffff")] // length without an end
    [InlineData("05")] // promises five bytes, has none
    [InlineData("020061")] // one byte of two
    [InlineData("01046161")] // literal longer than promised
    [InlineData("01f0")] // literal length cut off
    [InlineData("01fcffffffff61")] // literal of 4 GiB
    [InlineData("050501")] // copy before anything was written
    [InlineData("0500610100")] // distance 0
    [InlineData("0500610500")]
    [InlineData("0500610502")] // distance 2 of 1 written
    [InlineData("030061 0501")] // copy past the end
    [InlineData("0500610e")] // copy's distance cut off
    [InlineData("0500610ffffffff")] // four-byte distance cut off
    [InlineData("82534e4150505900")] // stream header cut off
    [InlineData("82534e4150505900000000010000000100")] // block length cut off
    [InlineData("82534e41505059000000000100000001ffffffff")] // block length negative
    [InlineData("82534e4150505900000000010000000100000000")] // block without bytes
    [InlineData("82534e4150505900000000010000000100000005010061")] // block past the end
    public void Damaged_snappy_is_refused_as_corrupt(string hex)
    {
        var bytes = hex.Replace(" ", "", StringComparison.Ordinal);
        var data = Convert.FromHexString(bytes.Length % 2 == 0 ? bytes : bytes[..^1]);
        ErrorOfReading(RecordBatches.Wrap(data, CompressionType.Snappy, 1)).Code.ShouldBe(StreamsErrorCode.CorruptBatch);
    }

    [Theory]
    [InlineData("")]
    [InlineData("1f8b")]
    [InlineData("00112233445566778899aabbccddeeff00112233")]
    [InlineData("1f8b0800000000000003ffffffffffffffffffff")]
    public void Damaged_gzip_is_refused_as_corrupt(string hex) =>
        ErrorOfReading(RecordBatches.Wrap(Convert.FromHexString(hex), CompressionType.Gzip, 1)).Code.ShouldBe(StreamsErrorCode.CorruptBatch);

    [Fact]
    public void A_cut_gzip_member_is_refused_as_corrupt_at_every_length()
    {
        var records = GoldenBytes.Read("gzip")[RecordBatchHeader.Size..];
        for (var length = 0; length < records.Length - 8; length++)
        {
            ErrorOfReading(RecordBatches.Wrap(records[..length], CompressionType.Gzip, 2)).Code.ShouldBe(StreamsErrorCode.CorruptBatch, $"cut to {length}");
        }
    }

    [Fact]
    public void A_gzip_bomb_is_refused_at_the_bound()
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.SmallestSize, leaveOpen: true))
        {
            var zeros = new byte[1024 * 1024];
            for (var i = 0; i < 65; i++)
            {
                gzip.Write(zeros);
            }
        }

        var batch = RecordBatches.Wrap(packed.ToArray(), CompressionType.Gzip, 1);
        batch.Length.ShouldBeLessThan(100_000);
        var error = ErrorOfReading(batch);
        error.Code.ShouldBe(StreamsErrorCode.CorruptBatch);
        error.Message.ShouldContain("decompresses to more than");
    }

    [Fact]
    public void A_gzip_trailer_that_promises_gigabytes_reserves_no_more_than_deflate_can_give()
    {
        var records = GoldenBytes.Read("gzip")[RecordBatchHeader.Size..];
        BinaryPrimitives.WriteUInt32LittleEndian(records.AsSpan()[^4..], 0xfffffff0);
        AllocatedBy(() => ErrorOfReading(RecordBatches.Wrap(records, CompressionType.Gzip, 2))).ShouldBeLessThan(300_000);
    }

    [Theory]
    [InlineData("80808020")] // 64 MiB promised by four bytes
    [InlineData("ffffffff0f")] // 4 GiB
    [InlineData("82534e4150505900000000010000000100000004808080 1e00000004808080 1e")] // two blocks of 60 MiB
    public void Snappy_that_promises_too_much_is_refused_before_anything_is_allocated(string hex)
    {
        var batch = RecordBatches.Wrap(Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal)), CompressionType.Snappy, 1);
        AllocatedBy(() => ErrorOfReading(batch).Code.ShouldBe(StreamsErrorCode.CorruptBatch)).ShouldBeLessThan(300_000);
    }

    private static string Record(string body)
    {
        var bytes = body.Replace(" ", "", StringComparison.Ordinal);
        return Convert.ToHexString([(byte)bytes.Length]) + bytes; // zigzag of the number of bytes, which is half the number of digits
    }

    private static StreamsException ErrorOfReading(byte[] batch) => Should.Throw<StreamsException>(() =>
    {
        var reader = new RecordBatchReader(batch);
        while (reader.TryRead(out _))
        {
        }
    });

    private static long AllocatedBy(Action action)
    {
        action(); // loads what is loaded once
        var before = GC.GetAllocatedBytesForCurrentThread();
        action();
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }
}
