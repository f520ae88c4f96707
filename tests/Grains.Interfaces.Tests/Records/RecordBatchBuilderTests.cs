using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Errors;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Records;

public class RecordBatchBuilderTests
{
    [Fact]
    public void Reading_ten_thousand_uncompressed_records_allocates_nothing()
    {
        var batch = Many(10_000).Build();
        ReadEverything(batch).ShouldBe((10_000, 1_160_000 + 10_000));
        var before = GC.GetAllocatedBytesForCurrentThread();
        var read = ReadEverything(batch);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        read.Count.ShouldBe(10_000);
        allocated.ShouldBe(0);
    }

    [Fact]
    public void A_builder_in_use_allocates_only_the_batch_it_hands_over()
    {
        var builder = Many(1000);
        builder.Build();
        var before = GC.GetAllocatedBytesForCurrentThread();
        AppendMany(builder, 1000);
        var batch = builder.Build();
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        allocated.ShouldBeInRange(batch.Length, batch.Length + 64);
    }

    [Fact]
    public void Count_and_size_grow_with_the_records_and_the_batch_is_exactly_that_large()
    {
        var builder = new RecordBatchBuilder(initialBytes: 1);
        (builder.Count, builder.SizeBytes).ShouldBe((0, RecordBatchHeader.Size));
        AppendMany(builder, 700);
        builder.Count.ShouldBe(700);
        var size = builder.SizeBytes;
        builder.Build().Length.ShouldBe(size);
        (builder.Count, builder.SizeBytes).ShouldBe((0, RecordBatchHeader.Size));
    }

    [Fact]
    public void A_batch_keeps_its_bytes_when_the_builder_goes_on()
    {
        var builder = new RecordBatchBuilder();
        RecordBatches.Append(builder, new TestRecord(1, "k", "first"));
        var first = builder.Build();
        var copy = first.ToArray();
        RecordBatches.Append(builder, new TestRecord(99, "q", "other"));
        var second = builder.Build();
        first.ShouldBe(copy);
        RecordBatchHeader.Read(second).BaseTimestamp.ShouldBe(99);
        RecordBatchHeader.Read(second).MaxTimestamp.ShouldBe(99);
    }

    [Fact]
    public void Reset_forgets_the_records()
    {
        var builder = new RecordBatchBuilder();
        RecordBatches.Append(builder, new TestRecord(1, "k", "gone"));
        builder.Reset();
        RecordBatches.Append(builder, new TestRecord(2, "k", "kept"));
        RecordBatches.ReadAll(builder.Build()).Select(RecordBatches.Describe).ShouldBe([RecordBatches.Describe(new TestRecord(2, "k", "kept"))]);
    }

    [Fact]
    public void An_empty_batch_is_refused()
    {
        var error = Should.Throw<StreamsException>(() => new RecordBatchBuilder().Build());
        error.Code.ShouldBe(StreamsErrorCode.InvalidRequest);
        error.Message.ShouldContain("append one");
    }

    [Fact]
    public void A_header_without_a_key_is_refused_and_the_batch_stays_as_it_was()
    {
        var builder = new RecordBatchBuilder();
        RecordBatches.Append(builder, new TestRecord(1, "k", "v"));
        var size = builder.SizeBytes;
        Should.Throw<StreamsException>(() => builder.Append(2, default, true, default, true, [default])).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
        (builder.Count, builder.SizeBytes).ShouldBe((1, size));
        RecordBatches.ReadAll(builder.Build()).Count.ShouldBe(1);
    }

    [Fact]
    public void A_compressed_batch_that_readers_would_refuse_is_refused_by_the_builder()
    {
        var builder = new RecordBatchBuilder(CompressionType.Snappy);
        var huge = new byte[Compression.MaxDecompressedBytes];
        var error = Should.Throw<StreamsException>(() => builder.Append(1, default, true, huge, false));
        error.Code.ShouldBe(StreamsErrorCode.RecordTooLarge);
        error.Outcome.ShouldBe(WriteOutcome.NotWritten);
        builder.Count.ShouldBe(0);
        builder.Append(1, default, true, huge.AsSpan(0, 63 * 1024 * 1024), false);
        var batch = builder.Build();
        var reader = new RecordBatchReader(batch);
        reader.TryRead(out var record).ShouldBeTrue();
        record.Value.Length.ShouldBe(63 * 1024 * 1024);
    }

    [Fact]
    public void MaxRecordBytes_is_never_below_what_a_record_adds()
    {
        var sizes = from key in Gen.Choose(0, 300)
                    from value in Gen.Choose(0, 70_000)
                    from headers in Gen.Choose(0, 3)
                    from delta in ArbMap.Default.GeneratorFor<long>()
                    select (key, value, headers, delta);
        Prop.ForAll(sizes.ToArbitrary(), given =>
        {
            var headers = Enumerable.Range(0, given.headers).Select(i => new RecordHeader("größe" + i, new byte[i])).ToArray();
            var builder = new RecordBatchBuilder();
            builder.Append(0, default, true, default, true);
            var before = builder.SizeBytes;
            builder.Append(given.delta, new byte[given.key], false, new byte[given.value], false, headers);
            (builder.SizeBytes - before).ShouldBeLessThanOrEqualTo(RecordBatchBuilder.MaxRecordBytes(given.key, given.value, headers));
        }).Check(Config.QuickThrowOnFailure.WithReplay(7, 7));
        RecordBatchBuilder.MaxRecordBytes(int.MaxValue, int.MaxValue, null).ShouldBe(int.MaxValue);
    }

    [Fact]
    public void Stamping_offset_and_epoch_leaves_the_checksum_right_and_every_other_byte_alone()
    {
        var batch = Many(3).Build();
        var before = batch.ToArray();
        RecordBatch.StampOffsetAndEpoch(batch, 123_456_789_012, 42);
        RecordBatch.Validate(batch, out var header).ShouldBe(StreamsErrorCode.None);
        (header.BaseOffset, header.LeaderEpoch, header.NextOffset).ShouldBe((123_456_789_012, 42, 123_456_789_015));
        batch[8..12].ShouldBe(before[8..12]);
        batch[16..].ShouldBe(before[16..]);
        RecordBatches.ReadAll(batch).Count.ShouldBe(3);
    }

    [Theory]
    [InlineData(CompressionType.None)]
    [InlineData(CompressionType.Gzip)]
    public void Stamping_log_append_time_gives_every_record_that_time_and_keeps_the_codec(CompressionType compression)
    {
        var batch = RecordBatches.Build([new TestRecord(5, "a", "1"), new TestRecord(9, "b", "2")], compression);
        RecordBatch.StampLogAppendTime(batch, 1234);
        RecordBatch.Validate(batch, out var header).ShouldBe(StreamsErrorCode.None);
        (header.TimestampType, header.MaxTimestamp, header.Compression).ShouldBe((TimestampType.LogAppendTime, 1234L, compression));
        RecordBatches.ReadAll(batch).Select(record => record.Timestamp).ShouldBe([1234, 1234]);
    }

    [Fact]
    public void Stamping_the_producer_keeps_the_checksum_right()
    {
        var batch = Many(3).Build();
        RecordBatchHeader.Read(batch).HasProducer.ShouldBeFalse();
        RecordBatchHeader.Read(batch).LastSequence.ShouldBe(-1);
        RecordBatch.StampProducer(batch, 8, 2, int.MaxValue);
        RecordBatch.Validate(batch, out var header).ShouldBe(StreamsErrorCode.None);
        (header.ProducerId, header.ProducerEpoch, header.BaseSequence, header.LastSequence).ShouldBe((8, (short)2, int.MaxValue, 1));
    }

    [Theory]
    [InlineData(CompressionType.None)]
    [InlineData(CompressionType.Gzip)]
    [InlineData(CompressionType.Snappy)]
    public void A_batch_is_read_where_it_lies_between_others_in_one_buffer(CompressionType compression)
    {
        var batch = RecordBatches.Build([new TestRecord(5, "a", "1"), new TestRecord(9, null, "2")], compression);
        var buffer = new byte[1000];
        batch.CopyTo(buffer, 37);
        batch.CopyTo(buffer, 37 + batch.Length);
        RecordBatch.Validate(buffer.AsSpan(37), out var header).ShouldBe(StreamsErrorCode.None);
        header.TotalBytes.ShouldBe(batch.Length);
        RecordBatches.ReadAll(buffer.AsMemory(37)).Select(record => record.Timestamp).ShouldBe([5, 9]);
        RecordBatches.ReadAll(buffer.AsMemory(37 + header.TotalBytes)).Select(record => record.Timestamp).ShouldBe([5, 9]);
    }

    [Fact]
    public void Incompressible_and_repetitive_megabytes_survive_snappy_and_gzip()
    {
        var random = new byte[1_500_000];
        new Random(3).NextBytes(random);
        TestRecord[] records = [new(1, [1], random, []), new(2, [2], new byte[2_000_000], []), new(3, "k", string.Concat(Enumerable.Repeat("abcdefg-", 50_000)))];
        foreach (var compression in new[] { CompressionType.Gzip, CompressionType.Snappy })
        {
            var read = RecordBatches.ReadAll(RecordBatches.Build(records, compression));
            for (var i = 0; i < records.Length; i++)
            {
                read[i].Value.AsSpan().SequenceEqual(records[i].Value).ShouldBeTrue($"{compression} {i}");
            }
        }
    }

    private static RecordBatchBuilder Many(int count)
    {
        var builder = new RecordBatchBuilder();
        AppendMany(builder, count);
        return builder;
    }

    private static void AppendMany(RecordBatchBuilder builder, int count)
    {
        Span<byte> key = stackalloc byte[16];
        Span<byte> value = stackalloc byte[100];
        for (var i = 0; i < count; i++)
        {
            key[0] = (byte)i;
            builder.Append(1_700_000_000_000 + i, key, false, value, false);
        }
    }

    private static (int Count, long Bytes) ReadEverything(byte[] batch)
    {
        var reader = new RecordBatchReader(batch);
        var count = 0;
        long bytes = 0;
        while (reader.TryRead(out var record))
        {
            count++;
            bytes += record.Key.Length + record.ValueMemory.Length + 1;
        }

        return (count, bytes);
    }
}
