using OrleansStreams.Records;
using OrleansStreams.Storage;

namespace OrleansStreams.Processing.Journal;

/// <summary>
/// A task's journal: entries since the last snapshot. A snapshot is a full entry in the journal itself; the log's checkpoint says where it stands, and what is
/// before it is removed. A crash between these steps costs nothing: recovery then begins at the snapshot before.
/// </summary>
internal sealed class TaskJournal : IAsyncDisposable
{
    private const int ReadBytes = 4 * 1024 * 1024;
    private const long SnapshotBytesMin = 8L * 1024 * 1024;

    private readonly ILog _log;
    private readonly RecordBatchBuilder _builder = new();
    private readonly TimeProvider _time;
    private long _bytesSinceSnapshot;
    private long _snapshotBytes;

    private TaskJournal(ILog log, TimeProvider time)
    {
        _log = log;
        _time = time;
    }

    /// <summary>Whether nothing was ever written.</summary>
    public bool IsEmpty => _log.DurableEndOffset == 0;

    /// <summary>The offset of the last durable entry, or -1.</summary>
    public long LastOffset => _log.DurableEndOffset - 1;

    /// <summary>Whether the next entry should be a full one: the journal has outgrown twice its last snapshot, so snapshots cost a constant factor of what is written.</summary>
    public bool WantsSnapshot => _bytesSinceSnapshot > Math.Max(SnapshotBytesMin, 2 * _snapshotBytes);

    /// <summary>Opens the journal, which fences whoever had it open before: a stale activation cannot commit any more.</summary>
    public static async ValueTask<TaskJournal> OpenAsync(ILogStorage storage, LogId id, LogOptions options, TimeProvider time, CancellationToken cancellationToken) =>
        new(await storage.OpenAsync(id, options, cancellationToken), time);

    /// <summary>Reads the entries that make up the state, in order.</summary>
    public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var offset = Math.Max(_log.StartOffset, _log.Checkpoint?.Offset ?? 0);
        while (offset < _log.DurableEndOffset)
        {
            var read = await _log.ReadAsync(offset, ReadBytes, cancellationToken);
            var rest = read.Batches;
            while (!rest.IsEmpty)
            {
                var length = RecordBatchHeader.Read(rest.Span).TotalBytes;
                _bytesSinceSnapshot += length;
                yield return EntryOf(rest[..length]);
                rest = rest[length..];
            }

            offset = read.NextOffset;
        }
    }

    /// <summary>Appends an entry; completes when it is durable.</summary>
    public async Task AppendAsync(byte[] entry, bool full)
    {
        _builder.Append(_time.GetUtcNow().ToUnixTimeMilliseconds(), default, true, entry, false);
        var batch = _builder.Build();
        var offset = _log.NextOffset;
        await _log.AppendAsync(offset, [batch]);
        _bytesSinceSnapshot += batch.Length;
        if (full)
        {
            // The checkpoint comes first: the prefix is needed until it is durable.
            await _log.WriteCheckpointAsync(default, offset);
            await _log.TruncatePrefixAsync(offset);
            _snapshotBytes = batch.Length;
            _bytesSinceSnapshot = 0;
        }
    }

    public ValueTask DisposeAsync() => _log.DisposeAsync();

    private static ReadOnlyMemory<byte> EntryOf(ReadOnlyMemory<byte> batch)
    {
        var reader = new RecordBatchReader(batch);
        return reader.TryRead(out var record) ? record.ValueMemory : throw new StreamsException(StreamsErrorCode.CorruptLog, "a journal batch holds no entry");
    }
}
