using System.Runtime.CompilerServices;

namespace OrleansStreams.Processing.State;

/// <summary>
/// An array that grows without copying what it holds, so that growing costs the same however much it holds: a store of ten million keys never stops to
/// double its tables. Only the first chunk is copied, while it is small, so that a store of few keys is small.
/// </summary>
internal sealed class ChunkedArray<T>
{
    // Long enough that the chunks of a large array, each with a header that is read at every access, are few; short enough that a new one takes some 2 ms.
    private const int ChunkBits = 17;
    private const int ChunkItems = 1 << ChunkBits;
    private const int FirstItems = 16;

    private T[][] _chunks = [new T[FirstItems]];
    private int _chunkCount = 1;

    public int Count { get; private set; }

    /// <summary>The items that have room.</summary>
    public long Capacity => _chunkCount == 1 ? _chunks[0].Length : (long)_chunkCount * ChunkItems;

    /// <summary>An item. The reference is good until the next <see cref="Add"/>.</summary>
    public ref T this[int index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref _chunks[index >> ChunkBits][index & (ChunkItems - 1)];
    }

    /// <summary>Adds an item.</summary>
    /// <returns>Its index.</returns>
    public int Add(T item)
    {
        if (Count == Capacity)
        {
            Grow();
        }

        this[Count] = item;
        return Count++;
    }

    /// <summary>Forgets the last item.</summary>
    public void RemoveLast() => this[--Count] = default!;

    private void Grow()
    {
        if (_chunks[0].Length < ChunkItems)
        {
            Array.Resize(ref _chunks[0], 2 * _chunks[0].Length);
            return;
        }

        if (_chunkCount == _chunks.Length)
        {
            Array.Resize(ref _chunks, 2 * _chunks.Length);
        }

        _chunks[_chunkCount++] = new T[ChunkItems];
    }
}
