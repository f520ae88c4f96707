namespace OrleansStreams.Storage.Files;

/// <summary>A log whose chunks a <see cref="TailCache"/> bounds.</summary>
internal interface ITailOwner
{
    /// <summary>Lets go of a chunk, as soon as it is written. Called without any lock of the cache.</summary>
    void Evict(TailChunk chunk);
}

/// <summary>
/// Bounds what all logs together keep in memory of their ends. Chunks leave in the order in which they came, the one that a quiet log still appends
/// to as well, so a busy log gets what idle ones don't need. What is not written yet is never let go (producers are bounded elsewhere).
/// </summary>
internal sealed class TailCache(long bytesMax, BufferPool buffers)
{
    /// <summary>The largest ordinary chunk; a log begins with <see cref="ChunkBytesMin"/> and doubles, so that many quiet logs cost little.</summary>
    public const int ChunkBytesMax = 1024 * 1024;

    /// <summary>The first chunk of a log.</summary>
    public const int ChunkBytesMin = BufferPool.BytesMin;

    private readonly Lock _gate = new();
    private readonly LinkedList<TailChunk> _chunks = new();
    private long _bytes;
    private int _logs;

    /// <summary>The buffers that chunks and reads are made of.</summary>
    public BufferPool Buffers => buffers;

    /// <summary>Bytes held now.</summary>
    public long Bytes => Volatile.Read(ref _bytes);

    /// <summary>A new chunk for at least so many bytes, larger where there is room; may be called under the log's lock.</summary>
    public TailChunk Add(ITailOwner log, int bytes, int wanted, long baseOffset)
    {
        // A log's share, so that the chunks of many logs are not thrown away before they are full.
        var share = bytesMax / 2 / Math.Max(1, Volatile.Read(ref _logs));
        var size = Math.Max(bytes, (int)Math.Clamp(share, ChunkBytesMin, wanted));
        var chunk = new TailChunk(log, buffers.Rent(size), baseOffset, buffers.Return);
        lock (_gate)
        {
            chunk.Place = _chunks.AddLast(chunk);
            _bytes += chunk.Capacity;
        }

        return chunk;
    }

    /// <summary>A log has its first chunk (1), or none any more (-1).</summary>
    public void CountLog(int change) => Interlocked.Add(ref _logs, change);

    /// <summary>A log lets go of a chunk, under its lock.</summary>
    public void Release(TailChunk chunk)
    {
        Forget(chunk);
        chunk.Release();
    }

    /// <summary>Lets the oldest chunks go until the rest fits. Call without any log's lock.</summary>
    public void Trim()
    {
        while (Bytes > bytesMax && TakeOldest() is { } chunk)
        {
            chunk.Log.Evict(chunk);
        }
    }

    private TailChunk? TakeOldest()
    {
        lock (_gate)
        {
            var oldest = _bytes > bytesMax ? _chunks.First?.Value : null;
            if (oldest is not null)
            {
                Forget(oldest);
            }

            return oldest;
        }
    }

    private void Forget(TailChunk chunk)
    {
        lock (_gate)
        {
            if (chunk.Place is { } place)
            {
                chunk.Place = null;
                _chunks.Remove(place);
                _bytes -= chunk.Capacity;
            }
        }
    }
}

/// <summary>A chunk of one log's end.</summary>
internal sealed class TailChunk(ITailOwner log, byte[] buffer, long baseOffset, Action<byte[]> giveBack) : LogChunk(buffer, baseOffset, giveBack)
{
    public ITailOwner Log => log;

    /// <summary>The chunk that goes on behind this one, once there is one.</summary>
    public TailChunk? Next { get; set; }

    /// <summary>Whether the cache wants it gone; guarded by the log's lock.</summary>
    public bool IsEvicted { get; set; }

    /// <summary>Where it stands in the cache; guarded by the cache's lock.</summary>
    public LinkedListNode<TailChunk>? Place { get; set; }
}
