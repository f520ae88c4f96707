using System.Buffers.Binary;
using OrleansStreams.Records;
using OrleansStreams.Storage;

namespace OrleansStreams.Processing.Journal;

/// <summary>
/// A task's journal: a log of its own, whose only writer is the newest opener. That fences a stale activation of the task: it cannot commit any more, and what it
/// may still deliver is what the journal holds.
/// </summary>
internal sealed class TaskJournal : IAsyncDisposable
{
    private const int ReadBytes = 4 * 1024 * 1024;

    private readonly ILog _log;
    private long _snapshotAt;

    private TaskJournal(ILog log)
    {
        _log = log;
        _snapshotAt = Math.Max(log.StartOffset, log.Checkpoint?.Offset ?? 0);
        DeliveredOffset = log.Checkpoint is { Blob.Length: sizeof(long) } checkpoint ? BinaryPrimitives.ReadInt64LittleEndian(checkpoint.Blob.Span) : -1;
    }

    /// <summary>The last entry whose outbox is known to be delivered by a note beside the journal; -1 without one.</summary>
    public long DeliveredOffset { get; private set; }

    /// <summary>The offset that the next entry gets.</summary>
    public long NextOffset => _log.NextOffset;

    public static LogId IdOf(string application, string taskId) => new($"journals/{ApplicationNames.Stored(application)}/{taskId}");

    public static async ValueTask<TaskJournal> OpenAsync(ILogStorage storage, LogId id, LogOptions options, CancellationToken cancellationToken) =>
        new(await storage.OpenAsync(id, options, cancellationToken));

    /// <summary>Replays the journal from its last whole snapshot. Nothing may be appended meanwhile.</summary>
    public async ValueTask RestoreAsync(Action<ReadOnlyMemory<byte>> apply, CancellationToken cancellationToken)
    {
        // Not from a snapshot that is under way.
        var offset = Math.Max(_log.StartOffset, _log.Checkpoint?.Offset ?? 0);
        while (offset < _log.DurableEndOffset)
        {
            var read = await _log.ReadAsync(offset, ReadBytes, cancellationToken);
            for (var rest = read.Batches; !rest.IsEmpty;)
            {
                rest = rest[ApplyBatch(rest, offset, apply)..];
            }

            offset = read.NextOffset;
        }
    }

    /// <summary>Appends a commit, whose entry is used up by it; completes when it is durable.</summary>
    public async ValueTask AppendAsync(TaskCommit commit, long nowMs)
    {
        var offset = _log.NextOffset;
        await _log.AppendAsync(offset, [EntryBatch.Complete(commit.Entry, nowMs)]);
        if (commit.BeginsSnapshot)
        {
            _snapshotAt = offset;
        }
    }

    /// <summary>Notes that the outbox of the entry at an offset was delivered. The checkpoint keeps its place: a snapshot may be under way.</summary>
    public async ValueTask NoteDeliveredAsync(long offset, CancellationToken cancellationToken)
    {
        await WriteCheckpointAsync(offset, Math.Max(_log.StartOffset, _log.Checkpoint?.Offset ?? 0), cancellationToken);
        DeliveredOffset = offset;
    }

    /// <summary>Drops everything before the last whole snapshot, whose last entry is durable. The checkpoint says where it begins.</summary>
    public async ValueTask TruncateAsync(CancellationToken cancellationToken)
    {
        await WriteCheckpointAsync(DeliveredOffset, _snapshotAt, cancellationToken);
        await _log.TruncatePrefixAsync(_snapshotAt, cancellationToken);
    }

    public ValueTask DisposeAsync() => _log.DisposeAsync();

    private ValueTask WriteCheckpointAsync(long delivered, long offset, CancellationToken cancellationToken)
    {
        var blob = new byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(blob, delivered);
        return _log.WriteCheckpointAsync(blob, offset, cancellationToken);
    }

    private static int ApplyBatch(ReadOnlyMemory<byte> batch, long from, Action<ReadOnlyMemory<byte>> apply)
    {
        var reader = new RecordBatchReader(batch);
        while (reader.TryRead(out var record))
        {
            if (record.Offset >= from)
            {
                apply(record.ValueMemory);
            }
        }

        return reader.Header.TotalBytes;
    }
}
