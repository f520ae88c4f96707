using OrleansStreams.Storage;

namespace OrleansStreams.Processing;

/// <summary>Logs at whose appends the process of a test may die (<see cref="TaskTopics.DiesAt"/>).</summary>
internal sealed class DyingLogStorage(ILogStorage storage, TaskTopics process) : ILogStorage
{
    public async ValueTask<ILog> OpenAsync(LogId id, LogOptions options, CancellationToken cancellationToken = default) =>
        new DyingLog(await storage.OpenAsync(id, options, cancellationToken), process);

    public ValueTask DeleteAsync(LogId id, CancellationToken cancellationToken = default) => storage.DeleteAsync(id, cancellationToken);

    public ValueTask<IReadOnlyList<LogId>> ListAsync(string prefix, CancellationToken cancellationToken = default) => storage.ListAsync(prefix, cancellationToken);

    public ValueTask DisposeAsync() => storage.DisposeAsync();

    private sealed class DyingLog(ILog log, TaskTopics process) : ILog
    {
        public LogId Id => log.Id;

        public int LeaderEpoch => log.LeaderEpoch;

        public long StartOffset => log.StartOffset;

        public long DurableEndOffset => log.DurableEndOffset;

        public long NextOffset => log.NextOffset;

        public long SizeBytes => log.SizeBytes;

        public LogCheckpoint? Checkpoint => log.Checkpoint;

        public IReadOnlyList<LogSegmentInfo> Segments => log.Segments;

        public ValueTask AppendAsync(long baseOffset, IReadOnlyList<ReadOnlyMemory<byte>> batches, long? logAppendTime = null) =>
            process.AppendAsync(() => log.AppendAsync(baseOffset, batches, logAppendTime));

        public ValueTask<LogRead> ReadAsync(long offset, int maxBytes, CancellationToken cancellationToken = default) => log.ReadAsync(offset, maxBytes, cancellationToken);

        public ValueTask<long?> FindBatchByTimestampAsync(long timestamp, CancellationToken cancellationToken = default) => log.FindBatchByTimestampAsync(timestamp, cancellationToken);

        public ValueTask TruncatePrefixAsync(long newStartOffset, CancellationToken cancellationToken = default) => log.TruncatePrefixAsync(newStartOffset, cancellationToken);

        public ValueTask WriteCheckpointAsync(ReadOnlyMemory<byte> blob, long offset, CancellationToken cancellationToken = default) => log.WriteCheckpointAsync(blob, offset, cancellationToken);

        public ValueTask RollAsync(CancellationToken cancellationToken = default) => log.RollAsync(cancellationToken);

        public ValueTask<ILogRewrite> BeginRewriteAsync(long fromOffset, long endOffset, CancellationToken cancellationToken = default) => log.BeginRewriteAsync(fromOffset, endOffset, cancellationToken);

        public ValueTask DisposeAsync() => log.DisposeAsync();
    }
}
