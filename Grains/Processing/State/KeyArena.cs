using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansStreams.Processing.State;

/// <summary>
/// The bytes of keys, in slabs instead of an array a key: ten million arrays would cost 32 bytes each and be walked by every full collection. What is freed is used
/// again for a key of about the same length. An address is the slab's number (high 32 bits) and the offset in it.
/// </summary>
internal sealed class KeyArena
{
    private const int FirstSlabBytes = 1024;
    private const int SlabBytesMax = 256 * 1024;
    private const int Unit = 8;

    // Longer keys get a slab of their own.
    private const int SharedBytesMax = 1024;

    private readonly List<byte[]> _slabs = [];
    private readonly ulong[] _free = new ulong[(SharedBytesMax / Unit) + 1];
    private readonly Stack<int> _freeSlabs = new();
    private int _slab = -1;
    private int _used;

    /// <summary>Bytes of memory held.</summary>
    public long Bytes { get; private set; }

    /// <summary>Keeps a copy of the key, which must not be empty.</summary>
    public ulong Add(ReadOnlySpan<byte> key)
    {
        var address = Allocate(key.Length);
        key.CopyTo(_slabs[(int)(address >> 32)].AsSpan((int)(uint)address));
        return address;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ReadOnlySpan<byte> Get(ulong address, int length) => CollectionsMarshal.AsSpan(_slabs)[(int)(address >> 32)].AsSpan((int)(uint)address, length);

    public void Remove(ulong address, int length)
    {
        if (length > SharedBytesMax)
        {
            var slab = (int)(address >> 32);
            Bytes -= _slabs[slab].Length;
            _slabs[slab] = [];
            _freeSlabs.Push(slab);
            return;
        }

        // A free block holds the address of the next one of its size; 0 ends the list, so addresses are kept plus one.
        ref var head = ref _free[Units(length)];
        MemoryMarshal.Write(_slabs[(int)(address >> 32)].AsSpan((int)(uint)address), in head);
        head = address + 1;
    }

    private ulong Allocate(int length)
    {
        if (length > SharedBytesMax)
        {
            return (ulong)AddSlab(length) << 32;
        }

        var units = Units(length);
        ref var head = ref _free[units];
        if (head != 0)
        {
            var address = head - 1;
            head = MemoryMarshal.Read<ulong>(_slabs[(int)(address >> 32)].AsSpan((int)(uint)address));
            return address;
        }

        var bytes = units * Unit;
        if (_slab < 0 || _used + bytes > _slabs[_slab].Length)
        {
            _slab = AddSlab(_slab < 0 ? FirstSlabBytes : Math.Min(SlabBytesMax, 2 * _slabs[_slab].Length));
            _used = 0;
        }

        var at = _used;
        _used += bytes;
        return ((ulong)_slab << 32) | (uint)at;
    }

    private int AddSlab(int bytes)
    {
        Bytes += bytes;
        if (_freeSlabs.TryPop(out var free))
        {
            _slabs[free] = new byte[bytes];
            return free;
        }

        _slabs.Add(new byte[bytes]);
        return _slabs.Count - 1;
    }

    private static int Units(int length) => (length + Unit - 1) / Unit;
}
