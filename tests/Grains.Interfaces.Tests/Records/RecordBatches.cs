using System.Buffers.Binary;
using System.Text;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Records;

/// <summary>A record as tests write it down.</summary>
public sealed record TestRecord(long Timestamp, byte[]? Key, byte[]? Value, IReadOnlyList<KeyValuePair<string, byte[]?>> Headers)
{
    public TestRecord(long timestamp, string? key, string? value)
        : this(timestamp, key is null ? null : Encoding.UTF8.GetBytes(key), value is null ? null : Encoding.UTF8.GetBytes(value), [])
    {
    }
}

/// <summary>Building and reading whole batches for tests.</summary>
internal static class RecordBatches
{
    public static byte[] Build(IEnumerable<TestRecord> records, CompressionType compression = CompressionType.None)
    {
        var builder = new RecordBatchBuilder(compression, 64);
        foreach (var record in records)
        {
            Append(builder, record);
        }

        return builder.Build();
    }

    public static void Append(RecordBatchBuilder builder, TestRecord record) =>
        builder.Append(
            record.Timestamp,
            record.Key,
            record.Key is null,
            record.Value,
            record.Value is null,
            [.. record.Headers.Select(header => new RecordHeader(header.Key, header.Value is null ? default(ReadOnlyMemory<byte>?) : header.Value.AsMemory()))]);

    public static List<TestRecord> ReadAll(ReadOnlyMemory<byte> batch)
    {
        var records = new List<TestRecord>();
        var reader = new RecordBatchReader(batch);
        while (reader.TryRead(out var record))
        {
            record.Offset.ShouldBe(reader.Header.BaseOffset + records.Count);
            record.ValueMemory.Span.SequenceEqual(record.Value).ShouldBeTrue();
            record.KeyMemory.Span.SequenceEqual(record.Key).ShouldBeTrue();
            records.Add(new TestRecord(
                record.Timestamp,
                record.KeyIsNull ? null : record.Key.ToArray(),
                record.ValueIsNull ? null : record.Value.ToArray(),
                [.. record.GetHeaders().Select(header => KeyValuePair.Create(header.Key, header.Value?.ToArray()))]));
        }

        return records;
    }

    /// <summary>A batch over hand-made record bytes, compressed here; CRC right.</summary>
    public static byte[] Assemble(byte[] payload, CompressionType compression, int count) =>
        Wrap(compression == CompressionType.None ? payload : Compression.Compress(compression, payload, 0, payload.Length, 0), compression, count);

    /// <summary>A batch over bytes that stand for compressed records; CRC right.</summary>
    public static byte[] Wrap(byte[] packed, CompressionType compression, int count)
    {
        var batch = new byte[RecordBatchHeader.Size + packed.Length];
        BinaryPrimitives.WriteInt32BigEndian(batch.AsSpan(RecordBatchHeader.LengthAt), batch.Length - RecordBatchHeader.LeaderEpochAt);
        batch[RecordBatchHeader.MagicAt] = 2;
        batch[RecordBatchHeader.AttributesAt + 1] = (byte)compression;
        BinaryPrimitives.WriteInt32BigEndian(batch.AsSpan(RecordBatchHeader.LastOffsetDeltaAt), count - 1);
        BinaryPrimitives.WriteInt32BigEndian(batch.AsSpan(RecordBatchHeader.RecordCountAt), count);
        packed.CopyTo(batch, RecordBatchHeader.Size);
        RecordBatch.StampCrc(batch);
        return batch;
    }

    /// <summary>One line per record, for comparing and for reading failures.</summary>
    public static string Describe(TestRecord record) =>
        $"{record.Timestamp} {Hex(record.Key)} {Hex(record.Value)} [{string.Join(", ", record.Headers.Select(header => $"{header.Key}={Hex(header.Value)}"))}]";

    /// <summary>Lone surrogates have no UTF-8 form.</summary>
    public static string ValidUtf16(string value) => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(value));

    private static string Hex(byte[]? bytes) => bytes is null ? "null" : $"'{Convert.ToHexString(bytes)}'";
}
