namespace OrleansStreams.Storage.Postgres;

/// <summary>A piece of a log's tail.</summary>
internal sealed class WrittenChunk(byte[] buffer, long baseOffset) : LogChunk(buffer, baseOffset)
{
    /// <summary>The chunk that goes on behind this one, once there is one.</summary>
    public WrittenChunk? Next { get; set; }

    /// <summary>Whether it is to go; guarded by its log's lock.</summary>
    public bool IsEvicted { get; set; }
}

/// <summary>A log whose written chunks <see cref="WrittenTails"/> bounds.</summary>
internal interface ITailOwner
{
    /// <summary>Lets go of a chunk.</summary>
    void Evict(WrittenChunk chunk);
}

/// <summary>
/// Bounds what all logs together keep in memory of what they have written: chunks that are full leave in the order in which they came, so a busy
/// log gets what idle ones don't need.
/// </summary>
internal sealed class WrittenTails(long bytesMax)
{
    /// <summary>The largest ordinary chunk; a log begins with <see cref="ChunkBytesMin"/> and doubles, so that many quiet logs cost little.</summary>
    public const int ChunkBytesMax = 1024 * 1024;

    /// <summary>The first chunk of a log.</summary>
    public const int ChunkBytesMin = 16 * 1024;

    private readonly Lock _gate = new();
    private readonly Queue<(ITailOwner Log, WrittenChunk Chunk, int Bytes)> _chunks = new();
    private long _bytes;

    /// <summary>Takes a chunk that is written to its end. Call without any log's lock.</summary>
    public void Retire(ITailOwner log, WrittenChunk chunk)
    {
        lock (_gate)
        {
            _chunks.Enqueue((log, chunk, chunk.Capacity));
            _bytes += chunk.Capacity;
        }

        while (TakeOldest() is { } oldest)
        {
            oldest.Log.Evict(oldest.Chunk);
        }
    }

    private (ITailOwner Log, WrittenChunk Chunk)? TakeOldest()
    {
        lock (_gate)
        {
            if (_bytes <= bytesMax || !_chunks.TryDequeue(out var oldest))
            {
                return null;
            }

            _bytes -= oldest.Bytes;
            return (oldest.Log, oldest.Chunk);
        }
    }
}
