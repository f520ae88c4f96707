namespace OrleansStreams.Storage;

/// <summary>
/// The name of a log, unique in its storage: 1 to 8 segments separated by '/', each 1 to 300 characters of [A-Za-z0-9._-],
/// none of them "." or "..". Examples: <c>topics/flights.9f3a/3</c>, <c>journals/flight-delays/1-2</c>.
/// </summary>
/// <param name="Path">The name.</param>
public readonly record struct LogId(string Path)
{
    /// <inheritdoc/>
    public override string ToString() => Path;
}

/// <summary>When an acknowledged append has reached the disk.</summary>
public enum FlushMode
{
    /// <summary>Before it is acknowledged.</summary>
    Always,

    /// <summary>At most <see cref="LogOptions.FlushInterval"/> later; a crash of the machine may lose that much, a crash of the process nothing.</summary>
    Interval,

    /// <summary>When the operating system pleases; a crash of the process loses nothing.</summary>
    OperatingSystem,
}

/// <summary>How a log is stored.</summary>
public sealed record LogOptions
{
    /// <summary>Bytes at which a new segment is begun.</summary>
    public long SegmentBytes { get; init; } = 128L * 1024 * 1024;

    /// <summary>Bytes of log between two index entries.</summary>
    public int IndexIntervalBytes { get; init; } = 16 * 1024;

    /// <summary>When appends reach the disk.</summary>
    public FlushMode Flush { get; init; } = FlushMode.Always;

    /// <summary>The interval of <see cref="FlushMode.Interval"/>.</summary>
    public TimeSpan FlushInterval { get; init; } = TimeSpan.FromSeconds(1);
}

/// <summary>
/// Durable logs of record batches (v2). One interface, one conformance suite, several implementations. Instances are safe for
/// concurrent use; every method may complete synchronously.
/// </summary>
public interface ILogStorage : IAsyncDisposable
{
    /// <summary>
    /// Opens a log, creating it when it does not exist, after recovering it: a torn tail is cut, everything acknowledged is there.
    /// The log gets a leader epoch larger than any before it, durably, which fences every earlier opener.
    /// </summary>
    /// <exception cref="StreamsException">StorageError, DiskFull, CorruptLog (an acknowledged region is damaged).</exception>
    ValueTask<ILog> OpenAsync(LogId id, LogOptions options, CancellationToken cancellationToken = default);

    /// <summary>Removes a log and all its data; fences its openers. No error when it does not exist.</summary>
    ValueTask DeleteAsync(LogId id, CancellationToken cancellationToken = default);

    /// <summary>The logs whose names begin with <paramref name="prefix"/>, in ordinal order.</summary>
    ValueTask<IReadOnlyList<LogId>> ListAsync(string prefix, CancellationToken cancellationToken = default);
}

/// <summary>
/// One open log: its only writer as long as no newer opener fenced it. Offsets are dense: a batch covers LastOffsetDelta + 1 offsets.
/// Once fenced or deleted every method fails with FencedLeaderEpoch, once disposed with Closed; the properties keep their last values.
/// Disposing waits for the appends under way.
/// </summary>
public interface ILog : IAsyncDisposable
{
    /// <summary>The log's name.</summary>
    LogId Id { get; }

    /// <summary>The leader epoch of this opener, stamped into every batch that it appends.</summary>
    int LeaderEpoch { get; }

    /// <summary>The first offset that can be read.</summary>
    long StartOffset { get; }

    /// <summary>The offset after the last durable batch: the end for readers.</summary>
    long DurableEndOffset { get; }

    /// <summary>The offset that the next append must begin with (ahead of <see cref="DurableEndOffset"/> while appends are under way).</summary>
    long NextOffset { get; }

    /// <summary>Bytes stored (segments only).</summary>
    long SizeBytes { get; }

    /// <summary>The last checkpoint that was written, or null.</summary>
    LogCheckpoint? Checkpoint { get; }

    /// <summary>
    /// Appends whole record batches; completes when they are durable by the flush mode. Batches may be appended while earlier ones
    /// are still under way; they become durable in order, and one flush serves all that were queued meanwhile (group commit).
    /// The log stamps base offset (dense from <paramref name="baseOffset"/>) and leader epoch into its own copy: the caller's memory is
    /// read until the call returns its task and never written.
    /// </summary>
    /// <param name="baseOffset">Must equal <see cref="NextOffset"/>; anything else is a bug of the caller (InvalidOperationException).</param>
    /// <param name="batches">Record batches with valid headers, each complete. Their CRC is the caller's business.</param>
    /// <param name="logAppendTime">When not null, stamped into each batch as its LogAppendTime (ms since the Unix epoch), and the CRC made anew.</param>
    /// <exception cref="StreamsException">FencedLeaderEpoch (not written); DiskFull (not written: the tail is cut back, the appends queued behind it fail
    /// likewise, <see cref="NextOffset"/> goes back to <see cref="DurableEndOffset"/> and the log stays usable); CorruptBatch (not written: no complete
    /// batch); StorageError (unknown; the log fails all later appends until it is opened again).</exception>
    ValueTask AppendAsync(long baseOffset, IReadOnlyList<ReadOnlyMemory<byte>> batches, long? logAppendTime = null);

    /// <summary>
    /// Reads whole batches, from the one that holds <paramref name="offset"/>: at least one, more only as they fit into <paramref name="maxBytes"/>,
    /// never past <see cref="DurableEndOffset"/>. It may stop earlier, where the stored form ends (a segment, a buffer): go on at
    /// <see cref="LogRead.NextOffset"/>. At the end the result is empty. The memory stays valid and unchanged for as long as the caller holds it, or
    /// until it disposes of <see cref="LogRead.Loan"/>.
    /// </summary>
    /// <exception cref="StreamsException">OffsetOutOfRange; CorruptLog when a stored batch fails its checks.</exception>
    ValueTask<LogRead> ReadAsync(long offset, int maxBytes, CancellationToken cancellationToken = default);

    /// <summary>
    /// The base offset of the first batch whose max timestamp is at least <paramref name="timestamp"/> (ms since the Unix epoch), or null;
    /// the caller looks inside it for the record.
    /// </summary>
    ValueTask<long?> FindBatchByTimestampAsync(long timestamp, CancellationToken cancellationToken = default);

    /// <summary>Raises <see cref="StartOffset"/> to <paramref name="newStartOffset"/> (durably; not above <see cref="DurableEndOffset"/>, never lowered) and
    /// frees whole segments below it, the active one too when nothing of it is left.</summary>
    ValueTask TruncatePrefixAsync(long newStartOffset, CancellationToken cancellationToken = default);

    /// <summary>Replaces the checkpoint atomically: a small blob that holds for all records below <paramref name="offset"/> (not above <see cref="DurableEndOffset"/>).</summary>
    ValueTask WriteCheckpointAsync(ReadOnlyMemory<byte> blob, long offset, CancellationToken cancellationToken = default);

    /// <summary>
    /// Ends the active segment when it holds anything: all that is durable when this is called lies in closed segments afterwards, which retention
    /// may remove and compaction may rewrite. For segments that end by age (segment.ms); by size they end by themselves.
    /// </summary>
    /// <exception cref="StreamsException">FencedLeaderEpoch, DiskFull, StorageError (nothing changed); Closed.</exception>
    ValueTask RollAsync(CancellationToken cancellationToken = default);

    /// <summary>
    /// Begins to replace the batches of whole closed segments by others that cover the same offsets: compaction. Appends, reads, checkpoints and
    /// truncations go on meanwhile, and see the old batches until <see cref="ILogRewrite.CommitAsync"/>. One rewrite at a time.
    /// </summary>
    /// <param name="fromOffset">Where a segment of <see cref="Segments"/> begins.</param>
    /// <param name="endOffset">Where that segment or a later one ends, the active one excluded. Anything else is a bug of the caller, as is a
    /// second rewrite before the first is disposed (InvalidOperationException).</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="StreamsException">FencedLeaderEpoch, Closed, DiskFull, StorageError: nothing was changed.</exception>
    ValueTask<ILogRewrite> BeginRewriteAsync(long fromOffset, long endOffset, CancellationToken cancellationToken = default);

    /// <summary>For retention: the segments from the oldest on with their size and largest timestamp (-1 while empty), the active one last.</summary>
    IReadOnlyList<LogSegmentInfo> Segments { get; }
}

/// <summary>
/// Batches that will take the place of others in a log. Nothing of the log changes before <see cref="CommitAsync"/>, nor when this is disposed
/// without it, nor in a crash before its end. One call at a time; no call after a failed one but disposing.
/// </summary>
public interface ILogRewrite : IAsyncDisposable
{
    /// <summary>The first offset to be covered.</summary>
    long FromOffset { get; }

    /// <summary>The offset after the last to be covered.</summary>
    long EndOffset { get; }

    /// <summary>The offset that the next batch must begin with; <see cref="EndOffset"/> once all are there.</summary>
    long NextOffset { get; }

    /// <summary>
    /// Adds whole batches back to back. They are stored as they are: base offset and leader epoch are stamped, the CRC is right, offsets are dense
    /// from <see cref="NextOffset"/> on (a batch covers LastOffsetDelta + 1 offsets, of which its records may leave out some or all) and don't pass
    /// <see cref="EndOffset"/>; other offsets are a bug of the caller (InvalidOperationException). The memory is read until the task completes.
    /// </summary>
    /// <exception cref="StreamsException">CorruptBatch (no complete batch), FencedLeaderEpoch, Closed, DiskFull, StorageError: nothing of the log was changed.</exception>
    ValueTask AppendAsync(ReadOnlyMemory<byte> batches);

    /// <summary>
    /// Puts the new batches in the place of the old ones, atomically and durably: afterwards they fill one or more whole closed segments and the
    /// old ones are gone, but for readers that hold memory of them. To commit before <see cref="NextOffset"/> has reached
    /// <see cref="EndOffset"/> is a bug of the caller (InvalidOperationException).
    /// </summary>
    /// <returns>False when a truncation meanwhile has freed segments of the range: then nothing was replaced.</returns>
    /// <exception cref="StreamsException">FencedLeaderEpoch, Closed, DiskFull (nothing was changed); StorageError (unknown: old or new, never a mixture;
    /// the log may have to be opened again).</exception>
    ValueTask<bool> CommitAsync(CancellationToken cancellationToken = default);
}

/// <summary>A checkpoint: state that holds for every record below an offset.</summary>
/// <param name="Offset">The offset.</param>
/// <param name="Blob">The state.</param>
public sealed record LogCheckpoint(long Offset, ReadOnlyMemory<byte> Blob);

/// <summary>The result of a read.</summary>
/// <param name="Batches">Whole record batches back to back, or empty.</param>
/// <param name="NextOffset">The offset after the last batch read, or the offset asked for when nothing was read.</param>
/// <param name="Loan">
/// When not null: the memory is lent. Whoever is done with it and knows that nobody else uses it disposes of the loan, once, and the buffer serves
/// another read. Never disposing is no leak: the memory then belongs to the caller for good and is collected like any other.
/// </param>
public readonly record struct LogRead(ReadOnlyMemory<byte> Batches, long NextOffset, IDisposable? Loan = null);

/// <summary>What retention needs to know of a segment.</summary>
/// <param name="BaseOffset">The first offset.</param>
/// <param name="EndOffset">The offset after the last.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="MaxTimestamp">The largest record timestamp in it, ms since the Unix epoch.</param>
public readonly record struct LogSegmentInfo(long BaseOffset, long EndOffset, long Bytes, long MaxTimestamp);
