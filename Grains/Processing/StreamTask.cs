using Microsoft.Extensions.Logging;
using OrleansStreams.Log;
using OrleansStreams.Processing.Journal;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>What a task needs from outside.</summary>
internal sealed record TaskEnvironment(
    ITaskTopics Topics, ILogStorage Storage, ISourceFiles Files, ProcessingOptions Options, TimeProvider Time, ILogger Logger)
{
    /// <summary>The tasks that write what this one reads; null when nothing is asked of them.</summary>
    public IUpstreamTasks? Upstream { get; init; }
}

/// <summary>
/// Runs a task engine: restores it, feeds it, commits it. Turn-based like the grain that owns it. Ends by completion, by <see cref="StopAsync"/> or by a failure; then
/// a new one is made from the journal.
/// <para>
/// A commit is one append to the journal; when it is durable its outbox is delivered; only then is the next commit appended. So at most the last entry's outbox can
/// be undelivered, and a restart delivers it again before anything else. The next records are processed while a commit is under way.
/// </para>
/// </summary>
internal sealed partial class StreamTask : IAsyncDisposable
{
    private readonly TaskPlan _plan;
    private readonly TaskEnvironment _environment;
    private readonly double _rowsPerSecond;
    private readonly CancellationTokenSource _stop = new();
    private readonly Throughput _throughput;
    private readonly CommitTimes _commitTimes = new();
    private readonly List<PendingRead> _queries = [];
    private readonly string _name;
    private TaskJournal? _journal;
    private TaskEngine? _engine;
    private Task _commit = Task.CompletedTask;
    private Task? _run;
    private TaskCompletionSource _wake = NewWake();
    private TaskProgress? _committed;
    private long _committedAt;
    private long _nextCommit;
    private long _lastYield;
    private bool _isOutboxPending;
    private string? _retrying;
    private ReadOnlyMemory<byte>[] _rest = [];
    private Task<FetchResult>?[] _fetches = [];

    // Per input, the offset up to which it is waited for; long.MaxValue when it has not answered yet.
    private long[] _awaitedUntil = [];

    public StreamTask(TaskPlan plan, TaskEnvironment environment, double rowsPerSecond)
    {
        _plan = plan;
        _environment = environment;
        _rowsPerSecond = rowsPerSecond;
        _throughput = new Throughput(environment.Time);
        _name = $"{plan.Application}/{plan.TaskId}";
        var sources = plan.SubTopology.Sources;
        _readsByTime = plan.SubTopology.ReadsByTime;
        _byRank = [.. Enumerable.Range(0, sources.Length).OrderBy(input => plan.SubTopology.IsOnlyLookedUp(sources[input]) ? 0 : 1)];
        _tableUntil = new long[sources.Length];
    }

    public StreamTaskState State { get; private set; }

    /// <summary>Why it failed, if it did.</summary>
    public StreamsException? Error { get; private set; }

    private ProcessingOptions Options => _environment.Options;

    private TimeProvider Time => _environment.Time;

    private long NowMs => Time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Begins to run, in turns of the caller's scheduler; the task completes, and never fails, when the run has ended.</summary>
    public Task Start() => _run ??= RunAsync();

    /// <summary>Ends the run after a last commit.</summary>
    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        _wake.TrySetResult();
        if (_run is { } run)
        {
            await run;
        }
    }

    /// <summary>The status as of the last durable commit.</summary>
    public StreamTaskStatus Status()
    {
        LookAfterLag();
        var progress = _committed;
        var file = _plan.SubTopology.File is null ? null : progress?.File;
        return new StreamTaskStatus(
            _plan.TaskId,
            State,
            progress?.Watermark ?? long.MinValue,
            progress?.RecordsIn ?? 0,
            progress?.RecordsOut ?? 0,
            progress?.LateRecords ?? 0,
            Lag(progress),
            progress?.Commits ?? 0,
            _throughput.PerSecond,
            progress?.StateEntries ?? 0,
            file?.Line ?? -1,
            file?.Offset ?? -1,
            file?.Length ?? -1,
            Error?.Message ?? _retrying)
        {
            SkippedRecords = progress?.SkippedRecords ?? 0,
            DeadLetters = progress?.DeadLetters ?? 0,
            WillRestart = Error is { } error && IsRetriable(error),
            NewestEventTime = progress?.NewestEventTime ?? long.MinValue,
            WatermarkLagMs = progress is null ? -1 : WatermarkLag(progress.Watermark),
            CommitMsLast = _commitTimes.Last,
            CommitMsMedian = _commitTimes.Median,
            StateSizeBytes = progress?.StateBytes ?? 0,
            IsPaused = _isPaused,
        };
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        try
        {
            Move(StreamTaskState.Restoring);
            await RestoreAsync();
            _engine!.SetClock(NowMs);
            _engine.Start();
            Move(StreamTaskState.Running);
            await TellActiveAsync();
            BeginBootstrap();
            _engine.EndReachedInputs();
            if (!_engine.IsCompleted)
            {
                await ProcessAsync();
            }

            await CommitLastAsync();
            if (_engine.IsCompleted)
            {
                var progress = _engine.Progress;
                _environment.Logger.TaskCompleted(_name, progress.RecordsIn, progress.RecordsOut, progress.LateRecords);
                Move(StreamTaskState.Completed);
                await PurgeLastAsync();
            }
            else
            {
                Move(StreamTaskState.Stopped);
            }
        }
        catch (Exception error)
        {
            await FailAsync(error);
        }
        finally
        {
            FailQueries();
            await _bootstrap;
            await _purge;
            await CloseJournalAsync();
        }
    }

    /// <summary>Whoever waits for this task no longer than it is idle hears that it is not before it makes its first result.</summary>
    private async Task TellActiveAsync()
    {
        if (_engine!.HasIdlenessNews)
        {
            await CommitAsync();
            await _commit;
        }
    }

    private async Task ProcessAsync()
    {
        try
        {
            await RunInputsAsync();
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested && !_isRebuilding)
        {
            // Waiting ends with a stop; what was processed is still committed.
        }
    }

    private async Task RestoreAsync()
    {
        var token = _stop.Token;
        _lastYield = Time.GetTimestamp();
        SetNextCommit();
        _journal = await TaskJournal.OpenAsync(_environment.Storage, TaskJournal.IdOf(_plan.Application, _plan.TaskId), Options.Journal, token);
        var engine = await RestoreEngineAsync(run: null, token);
        _engine = engine;
        BeginLag();
        if (engine.IsNew)
        {
            await BeginAsync(engine);
        }
        else
        {
            _committed = engine.Progress;
            _committedAt = _journal.NextOffset - 1;
            LookAfterLag();
            _environment.Logger.TaskRestored(_name, _committed.RecordsIn, _committed.StateEntries);
            if (_journal.DeliveredOffset < _committedAt)
            {
                await DeliverAsync(engine.Undelivered);
                _isOutboxPending = engine.Undelivered.Count > 0;
            }

            TellReflected(_committed);
        }
    }

    private async Task<TaskEngine> RestoreEngineAsync(RunSequences? run, CancellationToken cancellationToken)
    {
        var engine = new TaskEngine(_plan);
        await _journal!.RestoreAsync(
            entry =>
            {
                engine.Restore(entry.Span);
                CheckStateBytes(engine);
            },
            cancellationToken);
        // As after a pause: an input whose backlog grew while nothing ran must not be found idle before its first fetch has come back.
        AwaitAll(engine);
        if (!IsExactlyOnce)
        {
            engine.SendAs(run ?? new RunSequences(await RetryAsync(_environment.Topics.AllocateProducerIdAsync)));
        }

        return engine;
    }

    /// <summary>The first commit: producer id and first positions are durable before anything is sent or processed.</summary>
    private async Task BeginAsync(TaskEngine engine)
    {
        var producerId = await RetryAsync(_environment.Topics.AllocateProducerIdAsync);
        var positions = new List<long>();
        for (var input = 0; input < _plan.SubTopology.Sources.Length; input++)
        {
            var partition = _plan.PartitionOf(input);
            var offsets = await RetryAsync(() => _environment.Topics.GetOffsetsAsync(partition));
            var earliest = offsets.LogStartOffset;
            NoteHighWatermark(input, offsets.HighWatermark);
            positions.Add(input < _plan.StartOffsets.Count ? Math.Max(earliest, _plan.StartOffsets[input]) : earliest);
        }

        FilePosition? file = null;
        if (_plan.SubTopology.File is { } source0)
        {
            using var opened = _environment.Files.Open(source0.Path);
            file = await SourceLines.IdentifyAsync(opened, _stop.Token);
        }

        engine.Begin(producerId, positions, file);
        await CommitAsync();
        await _commit;
    }

    private bool IsExactlyOnce => Options.Guarantee == ProcessingGuarantee.ExactlyOnce;

    private bool IsCommitDue() =>
        _engine!.HasChanges &&
        (_queries.Count > 0 || Time.GetTimestamp() >= _nextCommit || _engine.PendingBytes >= Options.CommitBytes || _engine.HasTakenOutMarked);

    /// <summary>Begins a commit, after the one before has been delivered.</summary>
    private async Task CommitAsync()
    {
        await _commit;
        SetNextCommit();
        var engine = _engine!;
        CheckStateBytes(engine);
        var commit = engine.Drain();
        _poison.RemoveAll(engine.IsPast);
        var offset = _journal!.NextOffset;
        var answers = _queries.ConvertAll(pending => (pending, pending.Evaluate(engine, offset)));
        _queries.Clear();
        _isOutboxPending = IsExactlyOnce && commit.Outbox.Count > 0;
        _commit = AppendAndDeliverAsync(commit, engine.Progress, offset, answers);
    }

    private async Task AppendAndDeliverAsync(TaskCommit commit, TaskProgress progress, long offset, List<(PendingRead Query, Action Complete)> answers)
    {
        var began = Time.GetTimestamp();
        try
        {
            if (Options.Guarantee == ProcessingGuarantee.AtLeastOnce)
            {
                // The journal must not know of what nobody may ever see.
                await DeliverAsync(commit.Outbox);
            }

            await _journal!.AppendAsync(commit, NowMs);
        }
        catch
        {
            answers.ForEach(answer => answer.Query.Fail(NotRunning()));
            throw;
        }

        ProcessingMeter.Committed(_plan, _committed, progress);
        TellTakenOut(commit, progress);
        _committed = progress;
        _committedAt = offset;
        _throughput.Add(progress.RecordsIn);
        _commitTimes.Add(Time.GetElapsedTime(began).TotalMilliseconds);
        answers.ForEach(answer => answer.Complete());
        if (Options.Guarantee != ProcessingGuarantee.AtLeastOnce)
        {
            await DeliverAsync(commit.Outbox);
        }

        TellReflected(progress);
        if (commit.EndsSnapshot)
        {
            await _journal.TruncateAsync(CancellationToken.None);
        }

        PurgeIfDue(progress);
    }

    /// <summary>
    /// Commits what is left, and then the fact that the last outbox was delivered: an empty entry behind it. Without that a restart after a long silence would
    /// deliver it again to partitions that may have forgotten this producer by then.
    /// </summary>
    private async Task CommitLastAsync()
    {
        await _commit;
        _engine!.Unclaim();
        if (_engine.HasChanges)
        {
            await CommitAsync();
            await _commit;
        }

        if (_isOutboxPending)
        {
            await CommitAsync();
            await _commit;
        }
    }

    private async ValueTask YieldAsync()
    {
        if (Time.GetElapsedTime(_lastYield) >= Options.TurnLength)
        {
            await Task.Yield();
            _lastYield = Time.GetTimestamp();
        }
    }

    private StreamsException NotRunning() => Error is { } error && !IsRetriable(error)
        ? new StreamsException(StreamsErrorCode.ApplicationNotRunning, $"Task {_name} has failed: {error.Message}")
        : new StreamsException(StreamsErrorCode.TaskNotReady, $"Task {_name} is {(_isRebuilding ? StreamTaskState.Restoring : State).ToString().ToLowerInvariant()}{(Error is null ? string.Empty : $" ({Error.Message})")}: ask again when it runs.");

    private async Task FailAsync(Exception error)
    {
        if (_stop.IsCancellationRequested && error is OperationCanceledException)
        {
            Move(StreamTaskState.Stopped);
            return;
        }

        Error = error as StreamsException
            ?? new StreamsException(StreamsErrorCode.StorageError, $"Task {_name} was interrupted: {error.Message}", WriteOutcome.Unknown, error);
        Move(StreamTaskState.Failed);
        if (IsRetriable(Error))
        {
            _environment.Logger.TaskInterrupted(_name, Error.Message);
        }
        else
        {
            _environment.Logger.TaskFailed(_name, Error.Message);
        }

        // A commit under way ends by itself; its failure is this one or follows from it.
        await Task.WhenAny(_commit);
        await NoteDeliveredAsync();
    }

    /// <summary>
    /// Notes beside the journal that the last outbox was delivered: an entry that says so can't be made any more. Who mends the cause days later must not have it
    /// delivered again, to partitions that have forgotten this producer by then.
    /// </summary>
    private async Task NoteDeliveredAsync()
    {
        if (_journal is not { } journal || !_commit.IsCompletedSuccessfully || !_isOutboxPending)
        {
            return;
        }

        try
        {
            await journal.NoteDeliveredAsync(_committedAt, CancellationToken.None);
        }
        catch (StreamsException error)
        {
            // Delivered again soon, it is dropped by its sequences.
            _environment.Logger.TaskStopFailed(error, _name);
        }
    }

    private void FailQueries()
    {
        _queries.ForEach(pending => pending.Fail(NotRunning()));
        _queries.Clear();
        FailReflections();
    }

    private async Task CloseJournalAsync()
    {
        try
        {
            if (_journal is { } journal)
            {
                await journal.DisposeAsync();
            }
        }
        catch (Exception error)
        {
            _environment.Logger.TaskStopFailed(error, _name);
        }
    }

    private void Move(StreamTaskState to)
    {
        StreamTaskStates.Check(State, to);
        State = to;
    }

    private static TaskCompletionSource NewWake() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
