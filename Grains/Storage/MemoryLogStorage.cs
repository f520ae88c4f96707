namespace OrleansStreams.Storage;

/// <summary>
/// Logs in this object's memory: what is acknowledged lives as long as the object, over any number of openings. For tests and for data
/// that may be lost with the process. Completes synchronously unless a hook is set.
/// </summary>
public sealed class MemoryLogStorage : ILogStorage
{
    private readonly Lock _gate = new();
    private readonly Dictionary<LogId, MemoryLogData> _logs = [];
    private long _usedBytes;

    /// <summary>Bytes of batches that fit into all logs together; an append that does not fit fails with DiskFull. May be changed at any time.</summary>
    public long CapacityBytes { get; set; } = long.MaxValue;

    /// <summary>
    /// Awaited before each append is written; appends made meanwhile wait in line. An exception fails the append: DiskFull leaves the log
    /// usable, anything else is a StorageError with nothing written, and the log must be opened again.
    /// </summary>
    public Func<LogId, Task>? BeforeWrite { get; set; }

    /// <summary>Awaited after each append is written, before it is acknowledged. An exception fails the append with StorageError although it is in the log.</summary>
    public Func<LogId, Task>? AfterWrite { get; set; }

    /// <summary>Bytes of batches in all logs.</summary>
    public long UsedBytes => Interlocked.Read(ref _usedBytes);

    /// <inheritdoc/>
    public ValueTask<ILog> OpenAsync(LogId id, LogOptions options, CancellationToken cancellationToken = default)
    {
        LogRules.CheckName(id);
        cancellationToken.ThrowIfCancellationRequested();
        lock (_gate)
        {
            if (!_logs.TryGetValue(id, out var data))
            {
                data = new MemoryLogData();
                _logs.Add(id, data);
            }

            return ValueTask.FromResult<ILog>(data.Open(this, id, options));
        }
    }

    /// <inheritdoc/>
    public ValueTask DeleteAsync(LogId id, CancellationToken cancellationToken = default)
    {
        LogRules.CheckName(id);
        lock (_gate)
        {
            if (_logs.Remove(id, out var data))
            {
                Release(data.Delete());
            }
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<LogId>> ListAsync(string prefix, CancellationToken cancellationToken = default)
    {
        lock (_gate)
        {
            IReadOnlyList<LogId> found =
                [.. _logs.Keys.Where(id => id.Path.StartsWith(prefix, StringComparison.Ordinal)).OrderBy(id => id.Path, StringComparer.Ordinal)];
            return ValueTask.FromResult(found);
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>Takes room, or says that there is none.</summary>
    internal bool TryReserve(long bytes)
    {
        if (Interlocked.Add(ref _usedBytes, bytes) <= CapacityBytes)
        {
            return true;
        }

        Interlocked.Add(ref _usedBytes, -bytes);
        return false;
    }

    internal void Release(long bytes) => Interlocked.Add(ref _usedBytes, -bytes);
}

/// <summary>What a log in memory holds, whoever has it open. Its <see cref="Gate"/> guards it and its opener.</summary>
internal sealed class MemoryLogData
{
    private const int ChunkBytesMin = 16 * 1024;
    private const int ChunkBytesMax = 1024 * 1024;

    private Action? _fenceOpener;
    private int _leaderEpoch;
    private int _nextChunkBytes = ChunkBytesMin;

    public MemoryLogData() => Segments.Add(new Segment(0));

    public Lock Gate { get; } = new();

    public List<Segment> Segments { get; } = [];

    public long StartOffset { get; set; }

    public LogCheckpoint? Checkpoint { get; set; }

    public long EndOffset => Segments[^1].EndOffset;

    public MemoryLog Open(MemoryLogStorage storage, LogId id, LogOptions options)
    {
        lock (Gate)
        {
            _fenceOpener?.Invoke();
            var opener = new MemoryLog(storage, this, id, options, ++_leaderEpoch);
            _fenceOpener = opener.Fence;
            return opener;
        }
    }

    public long Delete()
    {
        lock (Gate)
        {
            _fenceOpener?.Invoke();
            _fenceOpener = null;
            return Segments.Sum(segment => segment.Bytes);
        }
    }

    public void Append(ReadOnlySpan<byte> batch, int leaderEpoch, long? logAppendTime, long segmentBytes)
    {
        var segment = Segments[^1];
        if (segment.Bytes > 0 && segment.Bytes + batch.Length > segmentBytes)
        {
            Roll();
        }

        Append(Segments[^1], batch, leaderEpoch, logAppendTime);
    }

    /// <summary>Adds a batch to a segment, which may be one that is not in the log yet.</summary>
    public void Append(Segment segment, ReadOnlySpan<byte> batch, int leaderEpoch, long? logAppendTime)
    {
        if (segment.Chunks.Count == 0 || !segment.Chunks[^1].HasRoomFor(batch.Length))
        {
            segment.Chunks.Add(new LogChunk(GC.AllocateUninitializedArray<byte>(Math.Max(_nextChunkBytes, batch.Length)), segment.EndOffset));
            _nextChunkBytes = Math.Min(_nextChunkBytes * 2, ChunkBytesMax);
        }

        var chunk = segment.Chunks[^1];
        chunk.Append(batch, segment.EndOffset, leaderEpoch, logAppendTime);
        segment.EndOffset = chunk.EndOffset;
        segment.Bytes += batch.Length;
        segment.MaxTimestamp = Math.Max(segment.MaxTimestamp, chunk.MaxTimestamp);
    }

    public LogRead Read(long offset, int maxBytes, long limitOffset)
    {
        foreach (var segment in Segments)
        {
            if (offset >= segment.EndOffset)
            {
                continue;
            }

            foreach (var chunk in segment.Chunks)
            {
                if (offset < chunk.EndOffset)
                {
                    return chunk.Read(offset, maxBytes, limitOffset);
                }
            }
        }

        return new LogRead(default, offset);
    }

    public long? FindTimestamp(long timestamp, long limitOffset)
    {
        foreach (var chunk in Segments.SelectMany(segment => segment.Chunks))
        {
            if (chunk.MaxTimestamp >= timestamp && chunk.FindTimestamp(timestamp, StartOffset, limitOffset) is { } found)
            {
                return found;
            }
        }

        return null;
    }

    /// <summary>Begins a new segment unless the last one is empty.</summary>
    public void Roll()
    {
        if (Segments[^1].Bytes > 0)
        {
            Segments.Add(new Segment(EndOffset));
        }
    }

    /// <summary>Puts a segment in the place of others; returns the bytes freed.</summary>
    public long Replace(int index, int count, Segment replacement)
    {
        var freed = Segments.Skip(index).Take(count).Sum(segment => segment.Bytes);
        Segments.RemoveRange(index, count);
        Segments.Insert(index, replacement);
        return freed;
    }

    /// <summary>Raises the start and drops segments that lie wholly below it; returns the bytes freed.</summary>
    public long TruncatePrefix(long newStartOffset)
    {
        StartOffset = Math.Max(StartOffset, newStartOffset);
        if (Segments[^1].EndOffset <= StartOffset)
        {
            Roll();
        }

        var freed = 0L;
        while (Segments.Count > 1 && Segments[0].EndOffset <= StartOffset)
        {
            freed += Segments[0].Bytes;
            Segments.RemoveAt(0);
        }

        return freed;
    }

    internal sealed class Segment(long baseOffset)
    {
        public long BaseOffset { get; } = baseOffset;

        public long EndOffset { get; set; } = baseOffset;

        public long Bytes { get; set; }

        public long MaxTimestamp { get; set; } = long.MinValue;

        public List<LogChunk> Chunks { get; } = [];
    }
}
