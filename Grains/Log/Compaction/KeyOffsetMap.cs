using System.Buffers.Binary;
using System.Security.Cryptography;

namespace OrleansStreams.Log.Compaction;

/// <summary>
/// The latest offset of each key, in a fixed number of bytes: hashes instead of keys, open addressing (Kafka's SkimpyOffsetMap has this shape). A
/// collision of hashes would take a record for another's predecessor and lose it, so they are 128 bits of SHA-256: nobody finds two such keys.
/// </summary>
internal sealed class KeyOffsetMap
{
    /// <summary>Bytes of one slot: 16 of hash, 8 of offset.</summary>
    public const int SlotBytes = 24;

    // Probes get long when a table of open addressing is nearly full.
    private const double LoadMax = 0.8;

    private readonly Slot[] _slots;
    private readonly int _keysMax;

    /// <summary>Makes a map that takes at most <paramref name="bytesMax"/>, and no more than <paramref name="keysWanted"/> need.</summary>
    public KeyOffsetMap(long bytesMax, long keysWanted)
    {
        var wanted = (long)(Math.Clamp(keysWanted, 1, int.MaxValue) / LoadMax) + 2;
        var slots = Math.Min(Math.Max(2, bytesMax / SlotBytes), Math.Min(wanted, Array.MaxLength / SlotBytes));
        _slots = new Slot[slots];
        _keysMax = Math.Max(1, (int)(slots * LoadMax));
    }

    public int Count { get; private set; }

    public bool IsFull => Count >= _keysMax;

    /// <summary>The name of a record's key: an ordinary key, or what a control record is about.</summary>
    public static UInt128 HashOf(ReadOnlySpan<byte> key)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(key, hash);
        return new UInt128(BinaryPrimitives.ReadUInt64LittleEndian(hash), BinaryPrimitives.ReadUInt64LittleEndian(hash[8..]));
    }

    /// <summary>Notes a key's offset, which is larger than any before; false, with nothing noted, when the map is full.</summary>
    public bool TryPut(UInt128 hash, long offset)
    {
        ref var slot = ref Find(hash);
        if (!slot.IsUsed)
        {
            if (IsFull)
            {
                return false;
            }

            slot.Hash = hash;
            Count++;
        }

        slot.OffsetPlus1 = offset + 1;
        return true;
    }

    /// <summary>The largest offset noted for a key, or -1.</summary>
    public long LatestOf(UInt128 hash) => Find(hash).OffsetPlus1 - 1;

    private ref Slot Find(UInt128 hash)
    {
        var at = (int)((ulong)hash % (ulong)_slots.Length);
        while (true)
        {
            ref var slot = ref _slots[at];
            if (!slot.IsUsed || slot.Hash == hash)
            {
                return ref slot;
            }

            at = at + 1 == _slots.Length ? 0 : at + 1;
        }
    }

    // Two halves and an offset: 24 bytes, which UInt128's alignment would make 32.
    private struct Slot
    {
        private ulong _high;
        private ulong _low;

        public long OffsetPlus1;

        public readonly bool IsUsed => OffsetPlus1 != 0;

        public UInt128 Hash
        {
            readonly get => new(_high, _low);
            set => (_high, _low) = ((ulong)(value >> 64), (ulong)value);
        }
    }
}
