using OrleansStreams.Records;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.Storage.Postgres;

/// <summary>A place in a log's tail: behind the last batch of an append.</summary>
internal readonly record struct TailMark(TailChunk Chunk, int Position);

/// <summary>
/// The end of a log in memory: what waits to be written, and behind it what was written last, for readers. Not safe for concurrent use: its
/// log's lock guards it. What it hands out stays valid and unchanged.
/// </summary>
internal sealed class LogTail(ITailOwner owner, TailCache cache)
{
    private readonly List<TailChunk> _chunks = [];
    private int _nextChunkBytes = TailCache.ChunkBytesMin;
    private TailChunk? _writeChunk;
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
    public LogRead Read(long offset, int maxBytes, long limitOffset) => LogChunk.Find(_chunks, offset).Read(offset, maxBytes, limitOffset);

    /// <summary>The bytes from what was written up to a mark.</summary>
    public List<ReadOnlyMemory<byte>> Unwritten(TailMark end)
    {
        var parts = new List<ReadOnlyMemory<byte>>();
        var chunk = _writeChunk!;
        var position = _writePosition;
        for (; chunk != end.Chunk; chunk = chunk.Next!, position = 0)
        {
            AddPart(chunk.Length);
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
    public void Written(TailMark end, bool isAll)
    {
        (_writeChunk, _writePosition) = (end.Chunk, end.Position);
        ReleaseEvicted(isAll);
    }

    /// <summary>Takes back all that is not written; nobody was shown it.</summary>
    public void CutBack(long endOffset)
    {
        if (_writeChunk is null)
        {
            return;
        }

        for (var last = _chunks.IndexOf(_writeChunk); _chunks.Count - 1 > last;)
        {
            cache.Release(_chunks[^1]);
            _chunks.RemoveAt(_chunks.Count - 1);
        }

        _writeChunk.Next = null;
        _writeChunk.CutBack(endOffset);
        ReleaseEvicted(isAllWritten: true);
    }

    /// <summary>Lets go of a chunk that the cache wants back, once it is the oldest and written.</summary>
    public void Evict(TailChunk chunk, bool isAllWritten)
    {
        chunk.IsEvicted = true;
        ReleaseEvicted(isAllWritten);
    }

    /// <summary>Lets go of everything.</summary>
    public void Clear()
    {
        if (_chunks.Count > 0)
        {
            _chunks.ForEach(cache.Release);
            _chunks.Clear();
            cache.CountLog(-1);
        }

        _writeChunk = null;
    }

    private void ReleaseEvicted(bool isAllWritten)
    {
        while (_chunks.Count > 0 && _chunks[0].IsEvicted && (_chunks[0] != _writeChunk || isAllWritten))
        {
            _writeChunk = _chunks[0] == _writeChunk ? null : _writeChunk;
            cache.Release(_chunks[0]);
            _chunks.RemoveAt(0);
            if (_chunks.Count == 0)
            {
                cache.CountLog(-1);
            }
        }
    }

    private void AddChunk(int bytes, long offset)
    {
        if (_chunks.Count == 0)
        {
            cache.CountLog(1);
        }

        var chunk = cache.Add(owner, bytes, _nextChunkBytes, offset);
        _nextChunkBytes = Math.Min(_nextChunkBytes * 2, TailCache.ChunkBytesMax);
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
