using System.Buffers.Binary;
using OrleansStreams.Log.Deduplication;

namespace OrleansStreams.Log;

/// <summary>
/// What a partition writes into its log's checkpoint, so that opening it need not read the log. All integers are little-endian.
/// <code>
///  version int32 = 2 | cleaned offset int64 | producers' bytes int32 | keys' bytes int32 | producers (ProducerStates) | keys (IdempotencyKeys)
/// </code>
/// Version 1 is a ProducerStates alone.
/// </summary>
internal static class PartitionCheckpoint
{
    private const int Version = 2;
    private const int HeaderBytes = 20;

    /// <summary>The state of all records below an offset.</summary>
    public static byte[] Serialize(ProducerStates producers, IdempotencyKeys keys, long cleanedOffset, long belowOffset)
    {
        var producerBytes = producers.Serialize(belowOffset);
        var keyBytes = keys.Serialize(belowOffset);
        var blob = new byte[HeaderBytes + producerBytes.Length + keyBytes.Length];
        BinaryPrimitives.WriteInt32LittleEndian(blob, Version);
        BinaryPrimitives.WriteInt64LittleEndian(blob.AsSpan(4), cleanedOffset);
        BinaryPrimitives.WriteInt32LittleEndian(blob.AsSpan(12), producerBytes.Length);
        BinaryPrimitives.WriteInt32LittleEndian(blob.AsSpan(16), keyBytes.Length);
        producerBytes.CopyTo(blob, HeaderBytes);
        keyBytes.CopyTo(blob, HeaderBytes + producerBytes.Length);
        return blob;
    }

    /// <summary>Reads a checkpoint; false when the blob is none (then the log itself has to be read).</summary>
    public static bool TryRestore(ReadOnlySpan<byte> blob, ProducerStates producers, IdempotencyKeys keys, out long cleanedOffset)
    {
        cleanedOffset = 0;
        if (blob.Length < HeaderBytes || BinaryPrimitives.ReadInt32LittleEndian(blob) != Version)
        {
            return producers.TryRestore(blob);
        }

        var producerBytes = BinaryPrimitives.ReadInt32LittleEndian(blob[12..]);
        var keyBytes = BinaryPrimitives.ReadInt32LittleEndian(blob[16..]);
        if (producerBytes < 0 || keyBytes < 0 || blob.Length != HeaderBytes + (long)producerBytes + keyBytes ||
            !producers.TryRestore(blob.Slice(HeaderBytes, producerBytes)) || !keys.TryRestore(blob[(HeaderBytes + producerBytes)..]))
        {
            return false;
        }

        cleanedOffset = BinaryPrimitives.ReadInt64LittleEndian(blob[4..]);
        return true;
    }
}
