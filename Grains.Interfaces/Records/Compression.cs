using System.Buffers.Binary;
using System.IO.Compression;
using System.Runtime.InteropServices;

namespace OrleansStreams.Records;

/// <summary>The codecs of record batches. Decompression is bounded, so that a small batch cannot fill the memory.</summary>
internal static class Compression
{
    /// <summary>The most that a batch may decompress to; more is refused as corrupt.</summary>
    public const int MaxDecompressedBytes = 64 * 1024 * 1024;

    // Deflate's best case: 258 bytes from two bits.
    private const long GzipMaxRatio = 1032;

    public static bool IsSupported(CompressionType compression) =>
        compression is CompressionType.None or CompressionType.Gzip or CompressionType.Snappy;

    public static void ThrowIfUnsupported(CompressionType compression)
    {
        if (!IsSupported(compression))
        {
            throw new StreamsException(
                StreamsErrorCode.UnsupportedCompressionType,
                $"Compression '{compression}' is not supported. Use none, gzip or snappy.");
        }
    }

    /// <summary>Compresses a part of <paramref name="source"/> into an array that begins with <paramref name="reserve"/> free bytes.</summary>
    public static byte[] Compress(CompressionType compression, byte[] source, int offset, int count, int reserve)
    {
        ThrowIfUnsupported(compression);
        if (compression == CompressionType.Gzip)
        {
            using var output = new MemoryStream(reserve + (count / 2) + 64);
            output.SetLength(reserve);
            output.Position = reserve;
            using (var gzip = new GZipStream(output, CompressionLevel.Fastest, leaveOpen: true))
            {
                gzip.Write(source, offset, count);
            }

            return output.ToArray();
        }

        var compressed = compression == CompressionType.Snappy ? IronSnappy.Snappy.Encode(source.AsSpan(offset, count)) : source.AsSpan(offset, count);
        var result = GC.AllocateUninitializedArray<byte>(reserve + compressed.Length);
        compressed.CopyTo(result.AsSpan(reserve));
        return result;
    }

    /// <summary>Decompresses; without compression the source itself is returned.</summary>
    /// <exception cref="StreamsException">UnsupportedCompressionType, or CorruptBatch for anything that is not that codec's, or too large.</exception>
    public static ReadOnlyMemory<byte> Decompress(CompressionType compression, ReadOnlyMemory<byte> source)
    {
        switch (compression)
        {
            case CompressionType.None:
                return source;
            case CompressionType.Gzip:
                return DecompressGzip(source);
            case CompressionType.Snappy:
                return SnappyDecoder.Decode(source.Span, MaxDecompressedBytes);
            default:
                ThrowIfUnsupported(compression);
                return default;
        }
    }

    public static StreamsException Corrupt(string what, Exception? inner = null) =>
        new(StreamsErrorCode.CorruptBatch, $"The record batch's compressed records are damaged: {what}. Send or fetch it again.", inner: inner);

    public static StreamsException TooLarge() =>
        new(
            StreamsErrorCode.CorruptBatch,
            $"The record batch decompresses to more than {MaxDecompressedBytes} bytes, which is refused. Send smaller batches.");

    private static ReadOnlyMemory<byte> DecompressGzip(ReadOnlyMemory<byte> source)
    {
        var array = MemoryMarshal.TryGetArray(source, out var segment) ? segment : new ArraySegment<byte>(source.ToArray());
        using var input = new MemoryStream(array.Array!, array.Offset, array.Count, writable: false);
        using var gzip = new GZipStream(input, CompressionMode.Decompress);

        // The trailer says the size of a single member; it is a hint that may lie, so it is bounded by what deflate can do.
        var hint = source.Length < 18 ? 0 : BinaryPrimitives.ReadUInt32LittleEndian(source.Span[^4..]);
        var buffer = GC.AllocateUninitializedArray<byte>((int)Math.Min(Math.Min(hint, source.Length * GzipMaxRatio), MaxDecompressedBytes) + 1);
        var filled = 0;
        try
        {
            int read;
            while ((read = gzip.Read(buffer, filled, buffer.Length - filled)) > 0)
            {
                filled += read;
                if (filled > MaxDecompressedBytes)
                {
                    throw TooLarge();
                }

                if (filled == buffer.Length)
                {
                    Array.Resize(ref buffer, (int)Math.Min(Math.Max(2L * buffer.Length, 4096), MaxDecompressedBytes + 1L));
                }
            }
        }
        catch (Exception e) when (e is InvalidDataException or IOException or NotSupportedException)
        {
            throw Corrupt("not a valid gzip stream", e);
        }

        return buffer.AsMemory(0, filled);
    }
}
