using OrleansStreams.Records;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.Storage.Postgres;

/// <summary>A place in a log's tail: behind the last batch of an append.</summary>
internal readonly record struct TailMark(WrittenChunk Chunk, int Position);

/// <summary>
/// The end of a log in memory: what waits to be written, and behind it what was written last, for readers. Not safe for concurrent use: its
/// log's lock guards it. What it hands out stays valid and unchanged.
/// </summary>
internal sealed class LogTail
{
    private readonly List<WrittenChunk> _chunks = [];
    private int _nextChunkBytes = WrittenTails.ChunkBytesMin;
    private WrittenChunk? _writeChunk;
    private int _writePosition;

    /// <summary>Behind the last batch.</summary>
    public TailMark End => new(_chunks[^1], _chunks[^1].Length);

    /// <summary>Copies a batch and stamps the copy.</summary>
    public RecordBatchHeader Append(ReadOnlySpan<byte> batch, long offset, int leaderEpoch, long? logAppendTime)
    {
        if (_chunks.Count == 0 || !_chunks[^1].HasRoomFor(batch.Length))
        {
            AddChunk(batch.Length, offset);
        }

        return _chunks[^1].Append(batch, offset, leaderEpoch, logAppendTime);
    }

    /// <summary>Whether a durable batch at an offset is here.</summary>
    public bool Holds(long offset) => _chunks.Count > 0 && _chunks[0].BaseOffset <= offset;

    /// <summary>Whole batches from the one that holds <paramref name="offset"/>, below <paramref name="limitOffset"/>.</summary>
    public LogRead Read(long offset, int maxBytes, long limitOffset)
    {
        var low = 0;
        var high = _chunks.Count - 1;
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (_chunks[middle].BaseOffset <= offset)
            {
                low = middle;
            }
            else
            {
                high = middle - 1;
            }
        }

        return _chunks[low].Read(offset, maxBytes, limitOffset);
    }

    /// <summary>The bytes from what was written up to a mark; chunks that are written to their ends by then go to <paramref name="passed"/>.</summary>
    public List<ReadOnlyMemory<byte>> Unwritten(TailMark end, List<WrittenChunk> passed)
    {
        var parts = new List<ReadOnlyMemory<byte>>();
        var chunk = _writeChunk!;
        var position = _writePosition;
        for (; chunk != end.Chunk; chunk = chunk.Next!, position = 0)
        {
            AddPart(chunk.Length);
            passed.Add(chunk);
        }

        AddPart(end.Position);
        return parts;

        void AddPart(int to)
        {
            if (to > position)
            {
                parts.Add(chunk.Slice(position, to - position));
            }
        }
    }

    /// <summary>All up to a mark is written.</summary>
    public void Written(TailMark end) => (_writeChunk, _writePosition) = (end.Chunk, end.Position);

    /// <summary>Takes back all that is not written; nobody was shown it.</summary>
    public void CutBack(long endOffset)
    {
        if (_writeChunk is null)
        {
            return;
        }

        var last = _chunks.IndexOf(_writeChunk);
        _chunks.RemoveRange(last + 1, _chunks.Count - last - 1);
        _writeChunk.Next = null;
        _writeChunk.CutBack(endOffset);
    }

    /// <summary>Lets go of a chunk that the cache wants back, once it is the oldest.</summary>
    public void Evict(WrittenChunk chunk)
    {
        chunk.IsEvicted = true;
        while (_chunks.Count > 0 && _chunks[0].IsEvicted)
        {
            _chunks[0].Release();
            _chunks.RemoveAt(0);
        }
    }

    /// <summary>Lets go of everything.</summary>
    public void Clear()
    {
        foreach (var chunk in _chunks)
        {
            chunk.Release();
        }

        _chunks.Clear();
        _writeChunk = null;
    }

    private void AddChunk(int bytes, long offset)
    {
        var chunk = new WrittenChunk(GC.AllocateUninitializedArray<byte>(Math.Max(bytes, _nextChunkBytes)), offset);
        _nextChunkBytes = Math.Min(_nextChunkBytes * 2, WrittenTails.ChunkBytesMax);
        if (_writeChunk is null)
        {
            _writeChunk = chunk;
            _writePosition = 0;
        }
        else
        {
            _chunks[^1].Next = chunk;
        }

        _chunks.Add(chunk);
    }
}
