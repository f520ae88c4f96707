using System.Numerics;

namespace OrleansStreams.Storage.Files;

/// <summary>
/// Buffers that are used again, in sizes of powers of two from 16 KiB to 16 MiB. Bounded: what comes back past the bound is left to the
/// garbage collector, and so is what never comes back, so that nobody has to give a buffer back. Safe for concurrent use.
/// </summary>
/// <remarks>Arrays of this size are zeroed and swept by the full collections when they are allocated anew: 1.3 GB/s of them cost more than the log.</remarks>
internal sealed class BufferPool(long spareBytesMax)
{
    /// <summary>The smallest size.</summary>
    public const int BytesMin = 1 << SmallestLog2;

    /// <summary>The largest size that is kept.</summary>
    public const int BytesMax = 1 << LargestLog2;

    private const int SmallestLog2 = 14;
    private const int LargestLog2 = 24;

    private readonly Lock _gate = new();
    private readonly Stack<byte[]>[] _spare = [.. Enumerable.Range(0, LargestLog2 - SmallestLog2 + 1).Select(_ => new Stack<byte[]>())];
    private long _spareBytes;

    /// <summary>A buffer of at least so many bytes, whatever stands in it.</summary>
    public byte[] Rent(int bytes)
    {
        if (bytes > BytesMax)
        {
            return GC.AllocateUninitializedArray<byte>(bytes);
        }

        var size = ClassOf(bytes);
        lock (_gate)
        {
            if (_spare[size].TryPop(out var spare))
            {
                _spareBytes -= spare.Length;
                return spare;
            }
        }

        return GC.AllocateUninitializedArray<byte>(BytesMin << size);
    }

    /// <summary>Takes a buffer back that nobody reads or writes any more.</summary>
    public void Return(byte[] buffer)
    {
        if (buffer.Length is < BytesMin or > BytesMax || !BitOperations.IsPow2(buffer.Length))
        {
            return;
        }

        lock (_gate)
        {
            if (_spareBytes + buffer.Length <= spareBytesMax)
            {
                _spareBytes += buffer.Length;
                _spare[ClassOf(buffer.Length)].Push(buffer);
            }
        }
    }

    private static int ClassOf(int bytes) => Math.Max(0, BitOperations.Log2((uint)Math.Max(1, bytes) - 1) + 1 - SmallestLog2);
}
