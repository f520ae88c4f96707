using OrleansStreams.Records;

namespace OrleansStreams.Benchmarks;

/// <summary>What the codec benchmarks measure, and the raw bound that each is held against.</summary>
internal sealed class CodecWork
{
    public const int Records = 1000;
    public const int ChecksumBytes = 1 << 20;

    private readonly byte[] _value;
    private readonly byte[] _key = "key-0000"u8.ToArray();
    private readonly byte[] _batch;
    private readonly byte[] _snappy;
    private readonly byte[] _block = new byte[ChecksumBytes];
    private readonly byte[] _copy = new byte[ChecksumBytes];
    private readonly RecordBatchBuilder _builder;

    public CodecWork(int valueBytes)
    {
        _value = new byte[valueBytes];
        new Random(1).NextBytes(_value);
        new Random(2).NextBytes(_block);
        _builder = new RecordBatchBuilder(initialBytes: Records * (valueBytes + 64));
        _batch = Build(_builder);
        _snappy = Build(new RecordBatchBuilder(CompressionType.Snappy));
    }

    public int BatchBytes => _batch.Length;

    public int Encode() => Build(_builder).Length;

    public long Decode() => Decode(_batch);

    public long DecodeSnappy() => Decode(_snappy);

    public int Validate() => (int)RecordBatch.Validate(_batch, out _);

    public uint Checksum() => Crc32C.Compute(_block);

    /// <summary>The bound for encoding: the same bytes copied into fresh memory.</summary>
    public int CopyBatch() => _batch.AsSpan().ToArray().Length;

    /// <summary>The bound for the checksum: every byte read and written once.</summary>
    public uint CopyBlock()
    {
        _block.CopyTo(_copy, 0);
        return _copy[^1];
    }

    private static long Decode(byte[] batch)
    {
        var reader = new RecordBatchReader(batch);
        long sum = 0;
        while (reader.TryRead(out var record))
        {
            sum += record.Key.Length + record.Value.Length + record.Timestamp;
        }

        return sum;
    }

    private byte[] Build(RecordBatchBuilder builder)
    {
        for (var i = 0; i < Records; i++)
        {
            builder.Append(1_700_000_000_000 + i, _key, false, _value, false);
        }

        return builder.Build();
    }
}
