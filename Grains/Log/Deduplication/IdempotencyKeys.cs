using System.Buffers.Binary;

namespace OrleansStreams.Log.Deduplication;

/// <summary>Where the first record with an idempotency key stands.</summary>
/// <param name="Offset">Its offset.</param>
/// <param name="Timestamp">Its timestamp in ms since the Unix epoch, as it was answered.</param>
/// <param name="Since">When it was appended, by the partition's clock.</param>
internal readonly record struct RememberedKey(long Offset, long Timestamp, long Since);

/// <summary>
/// The idempotency keys that a partition remembers, by 128 bits of their SHA-256, oldest first out: when its window is over, or before that when there
/// are more keys than the topic allows. Its form in a checkpoint (little-endian) holds records below the checkpoint's offset only:
/// <code>
///  key count int32 | per key, oldest first: hash 16 bytes | offset int64 | timestamp int64 | since int64
/// </code>
/// </summary>
internal sealed class IdempotencyKeys
{
    private const int EntryBytes = 40;

    private readonly Dictionary<UInt128, RememberedKey> _keys = [];

    // A key that was forgotten and came again stands in it twice; the offset tells which entry counts.
    private readonly Queue<(UInt128 Hash, long Offset)> _order = new();

    public int Count => _keys.Count;

    /// <summary>The record that has the key, unless it was appended before <paramref name="notBefore"/>.</summary>
    public bool TryFind(UInt128 hash, long notBefore, out RememberedKey found) => _keys.TryGetValue(hash, out found) && found.Since >= notBefore;

    /// <summary>Remembers a key in the place of an older one; <paramref name="max"/> at most, the oldest goes first.</summary>
    public void Add(UInt128 hash, in RememberedKey key, int max)
    {
        _keys[hash] = key;
        _order.Enqueue((hash, key.Offset));
        while (_keys.Count > max)
        {
            ForgetOldest();
            LogMeter.ForgottenKeys.Add(1);
        }
    }

    /// <summary>Forgets what was appended before a time.</summary>
    public void Expire(long notBefore)
    {
        while (_order.TryPeek(out var oldest) && (!IsCurrent(oldest, out var key) || key.Since < notBefore))
        {
            ForgetOldest();
        }
    }

    public void Clear()
    {
        _keys.Clear();
        _order.Clear();
    }

    public byte[] Serialize(long belowOffset)
    {
        var blob = new byte[4 + (_keys.Count * EntryBytes)];
        var count = 0;
        foreach (var entry in _order)
        {
            if (entry.Offset < belowOffset && IsCurrent(entry, out var key))
            {
                var to = blob.AsSpan(4 + (count++ * EntryBytes));
                BinaryPrimitives.WriteUInt128LittleEndian(to, entry.Hash);
                BinaryPrimitives.WriteInt64LittleEndian(to[16..], key.Offset);
                BinaryPrimitives.WriteInt64LittleEndian(to[24..], key.Timestamp);
                BinaryPrimitives.WriteInt64LittleEndian(to[32..], key.Since);
            }
        }

        BinaryPrimitives.WriteInt32LittleEndian(blob, count);
        return blob[..(4 + (count * EntryBytes))];
    }

    /// <summary>Reads what <see cref="Serialize"/> wrote; false, with nothing changed, when it is not that.</summary>
    public bool TryRestore(ReadOnlySpan<byte> blob)
    {
        if (blob.Length < 4 || blob.Length != 4 + ((long)BinaryPrimitives.ReadInt32LittleEndian(blob) * EntryBytes))
        {
            return false;
        }

        for (blob = blob[4..]; !blob.IsEmpty; blob = blob[EntryBytes..])
        {
            var key = new RememberedKey(
                BinaryPrimitives.ReadInt64LittleEndian(blob[16..]), BinaryPrimitives.ReadInt64LittleEndian(blob[24..]), BinaryPrimitives.ReadInt64LittleEndian(blob[32..]));
            Add(BinaryPrimitives.ReadUInt128LittleEndian(blob), key, int.MaxValue);
        }

        return true;
    }

    private void ForgetOldest()
    {
        var oldest = _order.Dequeue();
        if (IsCurrent(oldest, out _))
        {
            _keys.Remove(oldest.Hash);
        }
    }

    private bool IsCurrent((UInt128 Hash, long Offset) entry, out RememberedKey key) => _keys.TryGetValue(entry.Hash, out key) && key.Offset == entry.Offset;
}
