using OrleansStreams.Log.Compaction;
using OrleansStreams.Log.Deduplication;
using OrleansStreams.Records;
using OrleansStreams.Storage;

namespace OrleansStreams.Log;

/// <summary>
/// One partition's log: assigns offsets, keeps idempotent producers, serves readers. Turn-based like the grain that owns it: calls and
/// their continuations run one at a time.
/// <code>
///  open --append fails--> failed      every later call, and every waiter, gets a retriable error; open the log anew
///    \----CloseAsync----> closed      likewise
/// </code>
/// A failed append leaves memory uncertain (offsets and sequences were given out), so nothing is repaired in place: storage knows.
/// </summary>
internal sealed partial class PartitionLog : IAsyncDisposable
{
    private readonly ILog _log;
    private readonly StreamsOptions _options;
    private readonly TimeProvider _time;
    private readonly ProducerStates _producers;
    private readonly List<LogWaiter> _waiters = [];
    private readonly long _openedAtOffset;
    private readonly long _openedAtMs;
    private StreamsException? _failure;
    private bool _isClosed;
    private bool _isCheckpointing;
    private int _appendsInFlight;
    private long _pendingBytes;
    private long _committedBytes;
    private long _bytesSinceCheckpoint;
    private long _lastUse;
    private int _pollsEnded;

    private PartitionLog(ILog log, TopicConfig config, StreamsOptions options, TimeProvider time)
    {
        _log = log;
        _options = options;
        _time = time;
        _openedAtMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        Config = config;
        _producers = new ProducerStates(options.PartitionProducersMax);
        _compaction = new LogCompaction(log, options);
        _openedAtOffset = log.NextOffset;
        _lastUse = time.GetTimestamp();
    }

    /// <summary>The topic's configuration; may be replaced at any time (the segment size holds from the next opening on).</summary>
    public TopicConfig Config { get; set; }

    /// <summary>Called once, when an append failed and this instance can go no further.</summary>
    public Action<StreamsException>? Failed { get; set; }

    public bool IsUsable => _failure is null && !_isClosed;

    public long PendingBytes => _pendingBytes;

    /// <summary>Since when nobody appended, read, asked or waited, nor anything was compacted.</summary>
    public TimeSpan IdleTime => _appendsInFlight > 0 || _waiters.Count > 0 || !_compacting.IsCompleted ? TimeSpan.Zero : _time.GetElapsedTime(_lastUse);

    /// <summary>Whether anybody used it since it was opened.</summary>
    public bool WasUsed { get; private set; }

    public int ProducerCount => _producers.Count;

    public PartitionOffsets Offsets => new(_log.StartOffset, _log.DurableEndOffset, _log.NextOffset, _log.SizeBytes, _log.LeaderEpoch);

    /// <summary>Opens the log, which fences every earlier opener, and recovers the producers: the checkpoint and the headers of the batches after it.</summary>
    public static async ValueTask<PartitionLog> OpenAsync(
        ILogStorage storage, LogId id, TopicConfig config, StreamsOptions options, TimeProvider time, CancellationToken cancellationToken = default)
    {
        var logOptions = new LogOptions
        {
            SegmentBytes = config.SegmentBytes,
            IndexIntervalBytes = options.IndexIntervalBytes,
            Flush = options.Flush,
            FlushInterval = options.FlushInterval,
        };
        var log = await storage.OpenAsync(id, logOptions, cancellationToken);
        try
        {
            var partition = new PartitionLog(log, config, options, time);
            await partition.RecoverProducersAsync(cancellationToken);
            return partition;
        }
        catch
        {
            await log.DisposeAsync();
            throw;
        }
    }

    /// <summary>Notes that somebody uses it.</summary>
    public void Touch()
    {
        _lastUse = _time.GetTimestamp();
        WasUsed = true;
    }

    /// <summary>
    /// Appends the batches of a request; answers when they are durable. Offsets and sequences are settled before the first await, so
    /// requests stand in the log in the order of the calls.
    /// </summary>
    public async Task<ProduceResult> AppendAsync(ReadOnlyMemory<byte> request)
    {
        ThrowIfUnusable();
        Touch();
        var plan = AppendPlan.Make(request, Config.MaxMessageBytes, _options.RequestBatchesMax, _producers);
        var keyed = RecordInspection.IsNeeded(Config) ? RecordInspection.Inspect(plan, Config) : null;
        if (plan.FreshCount == 0 && keyed is not { Count: > 0 })
        {
            return await AnswerDuplicateAsync(plan);
        }

        if (_pendingBytes > 0 && _pendingBytes + plan.FreshBytes > _options.PendingBytesMax)
        {
            throw new StreamsException(
                StreamsErrorCode.PartitionBusy,
                $"The partition {_log.Id} has {_pendingBytes} unacknowledged bytes and takes {_options.PendingBytesMax}: wait for acknowledgements and send again.",
                WriteOutcome.NotWritten);
        }

        var now = _time.GetUtcNow().ToUnixTimeMilliseconds();
        long? appendTime = Config.MessageTimestampType == TimestampType.LogAppendTime ? now : null;
        var baseOffset = _log.NextOffset;
        var settled = keyed is { Count: > 0 } ? KeyDeduplication.Settle(plan, keyed, _keys, DedupRules.Of(Config, now), baseOffset, appendTime) : default;
        var fresh = plan.FreshMemory();
        if (fresh.Length == 0)
        {
            return await AnswerKnownKeysAsync(plan, settled);
        }

        _pendingBytes += plan.FreshBytes;
        _appendsInFlight++;
        try
        {
            var append = _log.AppendAsync(baseOffset, fresh, appendTime);
            Remember(plan, baseOffset, appendTime ?? -1, now);
            await append;
        }
        catch (Exception exception)
        {
            _appendsInFlight--;
            throw Fail(exception);
        }

        _appendsInFlight--;
        _pendingBytes -= plan.FreshBytes;
        Committed(plan.FreshBytes);
        LogMeter.ProduceRequests.Add(1);
        LogMeter.ProduceBytes.Add(plan.FreshBytes);
        return Answer(plan, baseOffset, appendTime ?? -1, settled.Duplicates, isDuplicate: HoldsNoRecord(fresh));
    }

    /// <summary>Raises the log start offset; -1 means the high watermark.</summary>
    public async Task<long> DeleteRecordsAsync(long beforeOffset)
    {
        ThrowIfUnusable();
        Touch();
        var end = _log.DurableEndOffset;
        if (beforeOffset < -1 || beforeOffset > end)
        {
            throw new StreamsException(
                StreamsErrorCode.OffsetOutOfRange,
                $"Records below offset {beforeOffset} cannot be deleted: {_log.Id} reaches from {_log.StartOffset} to {end}. Give an offset within it, or -1 for all.",
                WriteOutcome.NotWritten);
        }

        var newStart = beforeOffset < 0 ? end : beforeOffset;
        if (newStart > _log.StartOffset)
        {
            await TruncateAsync(newStart);
        }

        return _log.StartOffset;
    }

    /// <summary>Lets readers go, waits for appends under way, writes the checkpoint and closes the log.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_isClosed)
        {
            return;
        }

        _isClosed = true;
        await _closing.CancelAsync();
        FailWaiters(NotLeader(), keepAppends: _failure is null);
        while (_appendsInFlight > 0 && _failure is null)
        {
            // The next commit is counted in a turn of its own, whenever storage made it durable.
            var waiter = new LogWaiter { TargetBytes = _committedBytes + 1 };
            _waiters.Add(waiter);
            try
            {
                await waiter.Task;
            }
            catch (StreamsException)
            {
                // An append failed; its caller was told.
            }
        }

        await _compacting;
        try
        {
            if (_failure is null && _bytesSinceCheckpoint > 0)
            {
                await _log.WriteCheckpointAsync(SerializeCheckpoint(_log.DurableEndOffset), _log.DurableEndOffset);
            }
        }
        catch (StreamsException)
        {
            // The checkpoint only shortens the next opening.
        }
        finally
        {
            await _log.DisposeAsync();
        }
    }

    /// <summary>Whether only empty batches were appended, which keep the sequence of a producer whose records were all known.</summary>
    private static bool HoldsNoRecord(ReadOnlyMemory<byte>[] batches) => Array.TrueForAll(batches, batch => RecordBatchHeader.Read(batch.Span).RecordCount == 0);

    private async Task<ProduceResult> AnswerDuplicateAsync(AppendPlan plan)
    {
        // The original may still be on its way to the disk, and must not be acknowledged before it is there.
        foreach (var batch in plan.Batches)
        {
            if (batch.Verdict == SequenceVerdict.Duplicate)
            {
                await WaitUntilDurableAsync(batch.Original.NextOffset);
            }
            else
            {
                // Older than the remembered ones: all that was accepted up to now covers it.
                await WaitUntilDurableAsync(_log.NextOffset);
            }
        }

        return Answer(plan, -1, -1, default, isDuplicate: true);
    }

    private async ValueTask WaitUntilDurableAsync(long endOffset)
    {
        while (_log.DurableEndOffset < endOffset)
        {
            ThrowIfFailed();
            var waiter = new LogWaiter { TargetOffset = endOffset };
            _waiters.Add(waiter);
            await waiter.Task;
        }
    }

    private void Remember(in AppendPlan plan, long baseOffset, long appendTime, long now)
    {
        var offset = baseOffset;
        foreach (ref readonly var batch in plan.Batches.AsSpan())
        {
            if (batch.Verdict != SequenceVerdict.Next)
            {
                continue;
            }

            if (batch.Header.HasProducer)
            {
                _producers.Add(batch.Header, offset, appendTime, now);
            }

            offset += batch.Header.LastOffsetDelta + 1L;
        }
    }

    private void Committed(long bytes)
    {
        _committedBytes += bytes;
        _bytesSinceCheckpoint += bytes;
        ReleaseWaiters();
        if (_bytesSinceCheckpoint >= _options.CheckpointIntervalBytes && !_isCheckpointing && IsUsable)
        {
            _ = CheckpointAsync();
        }
    }

    private async Task CheckpointAsync()
    {
        _isCheckpointing = true;
        try
        {
            var end = _log.DurableEndOffset;
            _bytesSinceCheckpoint = 0;
            await _log.WriteCheckpointAsync(SerializeCheckpoint(end), end);
        }
        catch (Exception exception) when (exception is StreamsException or ObjectDisposedException)
        {
            // A checkpoint only shortens the next opening; the next one is tried after as many bytes again.
        }
        finally
        {
            _isCheckpointing = false;
        }
    }

    private async Task RecoverProducersAsync(CancellationToken cancellationToken)
    {
        var now = _time.GetUtcNow().ToUnixTimeMilliseconds();
        var offset = _log.StartOffset;
        if (_log.Checkpoint is { } checkpoint && checkpoint.Offset <= _log.DurableEndOffset &&
            PartitionCheckpoint.TryRestore(checkpoint.Blob.Span, _producers, _keys, out var cleanedOffset))
        {
            _compaction.CleanedOffset = cleanedOffset;
            offset = Math.Max(offset, checkpoint.Offset);
        }

        var rules = DedupRules.Of(Config, now);

        while (offset < _log.DurableEndOffset)
        {
            var read = await _log.ReadAsync(offset, 1024 * 1024, cancellationToken);
            for (var batches = read.Batches; !batches.IsEmpty;)
            {
                if (RecordBatch.TryReadHeader(batches.Span, out var header) == StreamsErrorCode.CorruptBatch)
                {
                    throw new StreamsException(StreamsErrorCode.CorruptLog, $"The log {_log.Id} holds a damaged batch at or after offset {offset}: restore it from a copy, or delete the records up to there.");
                }

                if (header.HasProducer && header.BaseSequence >= 0 && header.BaseOffset >= offset)
                {
                    var appendTime = header.TimestampType == TimestampType.LogAppendTime ? header.MaxTimestamp : -1;
                    _producers.Add(header, header.BaseOffset, appendTime, now);
                }

                if (Config.DedupWindowMs > 0)
                {
                    RecoverKeys(batches[..header.TotalBytes], offset, rules);
                }

                _bytesSinceCheckpoint += header.TotalBytes;
                batches = batches[header.TotalBytes..];
            }

            read.Loan?.Dispose();
            offset = read.NextOffset;
        }
    }

    private StreamsException Fail(Exception exception)
    {
        var error = AsRetriable(exception);
        if (_failure is null)
        {
            _failure = error;
            FailWaiters(NotLeader(), keepAppends: false);
            Failed?.Invoke(error);
        }

        return error;
    }

    private StreamsException AsRetriable(Exception exception) => exception switch
    {
        StreamsException { IsRetriable: true } known => known,
        StreamsException { Code: StreamsErrorCode.Closed } => NotLeader(),
        ObjectDisposedException => NotLeader(),
        _ => new StreamsException(StreamsErrorCode.StorageError, $"Writing to the log {_log.Id} failed ({exception.Message}): send again; an idempotent producer finds out whether it was written.", WriteOutcome.Unknown, exception),
    };

    private StreamsException NotLeader() =>
        new(StreamsErrorCode.NotLeader, $"The partition {_log.Id} is being opened anew: send again.", WriteOutcome.NotWritten);

    private void ThrowIfUnusable()
    {
        if (!IsUsable)
        {
            throw NotLeader();
        }
    }

    private void ThrowIfFailed()
    {
        if (_failure is not null)
        {
            throw new StreamsException(StreamsErrorCode.NotLeader, $"The partition {_log.Id} is being opened anew: send again.", WriteOutcome.Unknown);
        }
    }
}
