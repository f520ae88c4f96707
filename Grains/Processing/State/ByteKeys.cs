using System.Buffers.Binary;

namespace OrleansStreams.Processing.State;

/// <summary>Hashes raw key bytes. The hash never reaches an output: what is enumerated is sorted by its bytes first.</summary>
internal static class ByteKeys
{
    private const ulong K1 = 0x9E3779B97F4A7C15;
    private const ulong K2 = 0xD6E8FEB86659FD93;

    public static uint Hash(ReadOnlySpan<byte> key)
    {
        unchecked
        {
            var hash = (ulong)key.Length * K1;
            while (key.Length >= 8)
            {
                hash = (hash ^ BinaryPrimitives.ReadUInt64LittleEndian(key)) * K2;
                hash ^= hash >> 29;
                key = key[8..];
            }

            var tail = 0UL;
            if (key.Length >= 4)
            {
                tail = BinaryPrimitives.ReadUInt32LittleEndian(key);
                key = key[4..];
            }

            foreach (var b in key)
            {
                tail = (tail << 8) | b;
            }

            hash = (hash ^ tail) * K2;
            return (uint)(hash >> 32) ^ (uint)hash;
        }
    }

    public static uint Hash(int keyIndex, long start)
    {
        unchecked
        {
            var hash = (((ulong)start * K1) ^ (uint)keyIndex) * K2;
            return (uint)(hash >> 32);
        }
    }
}
