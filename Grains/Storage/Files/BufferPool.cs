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

        var size = ClassOf(buffer.Length);
        lock (_gate)
        {
            while (_spareBytes + buffer.Length > spareBytesMax)
            {
                // What came back last is what is asked for next: spare buffers of other sizes give way to it.
                var largest = LargestBut(size);
                if (largest < 0)
                {
                    return;
                }

                _spareBytes -= _spare[largest].Pop().Length;
            }

            _spareBytes += buffer.Length;
            _spare[size].Push(buffer);
        }
    }

    /// <summary>The size, other than one, of which the spare buffers hold most bytes; -1 when there are none.</summary>
    private int LargestBut(int size)
    {
        var largest = -1;
        for (var other = 0; other < _spare.Length; other++)
        {
            if (other != size && _spare[other].Count > 0 && (largest < 0 || BytesOf(other) > BytesOf(largest)))
            {
                largest = other;
            }
        }

        return largest;
    }

    private long BytesOf(int size) => (long)_spare[size].Count * (BytesMin << size);

    private static int ClassOf(int bytes) => Math.Max(0, BitOperations.Log2((uint)Math.Max(1, bytes) - 1) + 1 - SmallestLog2);
}
