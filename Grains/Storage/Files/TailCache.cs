namespace OrleansStreams.Storage.Files;

/// <summary>A log whose chunks a <see cref="TailCache"/> bounds.</summary>
internal interface ITailOwner
{
    /// <summary>Lets go of a chunk. Called without any lock of the cache.</summary>
    void Evict(LogChunk chunk);
}

/// <summary>
/// Bounds what all logs together keep in memory of their ends: chunks that are full and written leave in the order in which they
/// came, so a busy log gets what idle ones don't need. A buffer that no reader was ever shown is used again.
/// </summary>
internal sealed class TailCache(long bytesMax)
{
    /// <summary>The largest ordinary chunk; a log begins with <see cref="ChunkBytesMin"/> and doubles, so that many quiet logs cost little.</summary>
    public const int ChunkBytesMax = 1024 * 1024;

    /// <summary>The first chunk of a log.</summary>
    public const int ChunkBytesMin = 16 * 1024;

    private const int SpareMax = 8;

    private readonly Lock _gate = new();
    private readonly Queue<(ITailOwner Log, LogChunk Chunk, int Bytes)> _chunks = new();
    private readonly Stack<byte[]> _spare = new();
    private long _bytes;

    /// <summary>A buffer of at least so many bytes.</summary>
    public byte[] Rent(int bytes)
    {
        if (bytes == ChunkBytesMax)
        {
            lock (_gate)
            {
                if (_spare.TryPop(out var spare))
                {
                    return spare;
                }
            }
        }

        return GC.AllocateUninitializedArray<byte>(bytes);
    }

    /// <summary>Takes a chunk that is written to its end. Call without any log's lock.</summary>
    public void Retire(ITailOwner log, LogChunk chunk)
    {
        lock (_gate)
        {
            _chunks.Enqueue((log, chunk, chunk.Capacity));
            _bytes += chunk.Capacity;
        }

        while (TakeVictim() is { } victim)
        {
            victim.Log.Evict(victim.Chunk);
        }
    }

    /// <summary>Takes back a buffer that nobody reads any more.</summary>
    public void Recycle(byte[]? buffer)
    {
        if (buffer is { Length: ChunkBytesMax })
        {
            lock (_gate)
            {
                if (_spare.Count < SpareMax)
                {
                    _spare.Push(buffer);
                }
            }
        }
    }

    private (ITailOwner Log, LogChunk Chunk)? TakeVictim()
    {
        lock (_gate)
        {
            if (_bytes <= bytesMax || !_chunks.TryDequeue(out var victim))
            {
                return null;
            }

            _bytes -= victim.Bytes;
            return (victim.Log, victim.Chunk);
        }
    }
}
