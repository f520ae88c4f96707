using System.Runtime.CompilerServices;
using OrleansStreams.Records;

namespace OrleansStreams.Processing.State;

/// <summary>
/// Writes and reads the values of a store's slots, and keeps account of the memory of the objects behind them: each by its serialized size when it was last written or read, so that the sum is exact
/// whatever the sizes are and in whatever order they come. What is not committed yet is unknown; it counts from its commit on. Values without objects cost nothing here.
/// </summary>
internal sealed class ValueSizes<TValue>(ISerde<TValue> serde)
{
    private const int ObjectOverheadBytes = 32;

    // A guess for the first commit, on the safe side: one that is made too early costs little.
    private const int FirstObjectBytes = 1024;
    private const int FirstStructBytes = 64;
    private const double Remembered = 64;

    // By slot; 0 for one without a value that was written.
    private readonly ChunkedArray<int> _sizes = new();
    private double _opBytes = RuntimeHelpers.IsReferenceOrContainsReferences<TValue>() ? FirstObjectBytes : FirstStructBytes + Unsafe.SizeOf<TValue>();
    private long _bytes;
    private bool _isOpKnown;

    /// <summary>The memory of all values beyond the slots that they stand in, and of this account.</summary>
    public long Bytes => RuntimeHelpers.IsReferenceOrContainsReferences<TValue>() ? _bytes + (_sizes.Capacity * sizeof(int)) : 0;

    /// <summary>Writes the value of a slot as a length-prefixed block.</summary>
    public void Write(ByteBuffer to, int slot, TValue value)
    {
        var at = to.Length;
        to.WriteInt32(0);
        serde.Serialize(value, to);
        var bytes = to.Length - at - sizeof(int);
        to.PatchInt32(at, bytes);
        Keep(slot, bytes);
    }

    /// <summary>Reads the value of a slot from the bytes of its block.</summary>
    public TValue Read(ReadOnlySpan<byte> bytes, int slot)
    {
        Keep(slot, bytes.Length);
        return serde.Deserialize(bytes);
    }

    /// <summary>A slot has no value any more.</summary>
    public void Forget(int slot)
    {
        if (RuntimeHelpers.IsReferenceOrContainsReferences<TValue>() && slot < _sizes.Count)
        {
            ref var size = ref _sizes[slot];
            _bytes -= size;
            size = 0;
        }
    }

    public byte[] ToArray(TValue value)
    {
        var buffer = new ByteBuffer();
        serde.Serialize(value, buffer);
        return buffer.Span.ToArray();
    }

    /// <summary>About what so many operations take that are not written yet: as much as the last ones did.</summary>
    public long PendingBytes(int count) => (long)(count * _opBytes);

    /// <summary>Takes note of how much operations took.</summary>
    public void LearnOps(long bytes, int count)
    {
        if (count > 0)
        {
            var weight = _isOpKnown ? Math.Min(1, count / Remembered) : 1;
            _opBytes += (((double)bytes / count) - _opBytes) * weight;
            _isOpKnown = true;
        }
    }

    private void Keep(int slot, int bytes)
    {
        if (!RuntimeHelpers.IsReferenceOrContainsReferences<TValue>())
        {
            return;
        }

        while (_sizes.Count <= slot)
        {
            _sizes.Add(0);
        }

        ref var size = ref _sizes[slot];
        _bytes += bytes + ObjectOverheadBytes - size;
        size = bytes + ObjectOverheadBytes;
    }
}
