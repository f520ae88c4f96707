using System.Buffers.Binary;

namespace OrleansStreams.Records;

/// <summary>
/// Which partition a key belongs to: murmur2 of its bytes, as Kafka's default partitioner does, so that data written by other clients and by
/// this product agrees on partitions.
/// </summary>
public static class KeyHash
{
    private const uint Seed = 0x9747b28c;
    private const uint M = 0x5bd1e995;
    private const int R = 24;

    /// <summary>The partition, from 0 to <paramref name="partitionCount"/> - 1.</summary>
    /// <exception cref="StreamsException">InvalidPartitions when the count is not positive.</exception>
    public static int PartitionFor(ReadOnlySpan<byte> key, int partitionCount)
    {
        if (partitionCount <= 0)
        {
            throw new StreamsException(StreamsErrorCode.InvalidPartitions, $"A topic has at least one partition, not {partitionCount}.");
        }

        // The sign bit is cleared, not negated: that is what Kafka's clients do.
        return (Murmur2(key) & 0x7fffffff) % partitionCount;
    }

    /// <summary>The 32-bit murmur2 hash with Kafka's seed.</summary>
    public static int Murmur2(ReadOnlySpan<byte> data)
    {
        unchecked
        {
            var hash = Seed ^ (uint)data.Length;
            while (data.Length >= 4)
            {
                var k = BinaryPrimitives.ReadUInt32LittleEndian(data) * M;
                k = (k ^ (k >> R)) * M;
                hash = (hash * M) ^ k;
                data = data[4..];
            }

            if (data.Length > 0)
            {
                for (var i = 0; i < data.Length; i++)
                {
                    hash ^= (uint)data[i] << (8 * i);
                }

                hash *= M;
            }

            hash = (hash ^ (hash >> 13)) * M;
            return (int)(hash ^ (hash >> 15));
        }
    }
}
