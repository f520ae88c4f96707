using OrleansStreams.Log;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>Reading and writing.</summary>
internal sealed partial class StreamTask
{
    private const int DeliveryBytes = 4 * 1024 * 1024;

    // Fewer than a partition remembers of a producer: with one durable batch among them, its checkpoint can never lose this producer while a request is in flight.
    private const int DeliveryBatches = ProducerState.BatchesRemembered - 1;

    // How long watermarks that follow the clock stand still when nothing else happens.
    private static readonly TimeSpan s_clockInterval = TimeSpan.FromMilliseconds(100);

    // Wall clocks are set: what a step waits for is looked at from time to time.
    private const long WallClockWaitMaxMs = 60_000;

    // What is collected while a commit is under way, in commits: a task that is waiting for flushes makes fewer and larger commits instead of standing still behind each.
    private const int CommitsAhead = 4;

    // A retried call is told of at the first and then at every so many attempts.
    private const int AttemptsPerWarning = 20;

    /// <summary>Whether a new run from the journal may succeed. What is no error of ours at all (a silo died, a call timed out) is, and a journal that was opened by another
    /// activation is, too: that one, or the next, goes on.</summary>
    public static bool IsRetriable(Exception error) => error is not StreamsException streams || streams.IsRetriable;

    /// <summary>Reads the inputs until they end or the task is stopped. A record that left half of its effects is taken out by a new engine.</summary>
    private async Task RunInputsAsync()
    {
        while (true)
        {
            try
            {
                await (_plan.SubTopology.File is null ? RunTopicsAsync() : RunFileAsync());
                return;
            }
            catch (PoisonRecordException error)
            {
                await RebuildAsync(error.Record);
            }
        }
    }

    private async Task RunTopicsAsync()
    {
        _fetches = new Task<FetchResult>?[_plan.SubTopology.Sources.Length];
        _rest = new ReadOnlyMemory<byte>[_fetches.Length];
        using var fetching = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        await BeginOrderAsync();
        try
        {
            while (!_stop.IsCancellationRequested && !_engine!.IsCompleted)
            {
                await WaitForInputAsync(fetching.Token);
                await (_readsByTime ? ProcessByTimeAsync(fetching.Token) : ProcessArrivedAsync(fetching.Token));
                if (!_isPaused)
                {
                    AdvanceTime();
                }

                await CommitIfDueAsync();
                await YieldAsync();
            }
        }
        finally
        {
            await fetching.CancelAsync();
        }
    }

    private async Task ProcessArrivedAsync(CancellationToken cancellationToken)
    {
        for (var input = 0; input < _fetches.Length && !_stop.IsCancellationRequested; input++)
        {
            if (!_rest[input].IsEmpty)
            {
                await ProcessRestAsync(input);
            }

            if (_rest[input].IsEmpty && !IsHeld(input) && TakeFetched(input) is { } fetched)
            {
                await ProcessFetchedAsync(input, fetched, cancellationToken);
            }
        }
    }

    private void AdvanceTime()
    {
        MarkArrived();
        for (var input = 0; input < _fetches.Length; input++)
        {
            // Nobody looks whether it is silent.
            if (IsHeld(input))
            {
                _engine!.MarkActive(input);
            }
        }

        _engine!.AdvanceTime(NowMs);
    }

    /// <summary>Records that have come while others were processed: their input is not idle, only not looked at yet, and no watermark may pass them by.</summary>
    private void MarkArrived()
    {
        for (var input = 0; input < _fetches.Length; input++)
        {
            if (!_rest[input].IsEmpty || (_fetches[input] is { IsCompletedSuccessfully: true } fetched && !fetched.Result.Batches.IsEmpty))
            {
                if (_engine!.IsInputIdle(input))
                {
                    _engine.Await(input);
                    _awaitedUntil[input] = long.MaxValue;
                }

                _engine.MarkActive(input);
            }
        }
    }

    /// <summary>What each input has now is waited for before any watermark passes it by: for who has not looked for a while.</summary>
    private void AwaitAll(TaskEngine engine)
    {
        _awaitedUntil = new long[_plan.SubTopology.Sources.Length];
        Array.Fill(_awaitedUntil, long.MaxValue);
        engine.AwaitAll();
    }

    /// <summary>An input is waited for up to where it ended when it first answered, and no longer: one that is behind for ever must not hold the others up for ever.</summary>
    private void ReleaseIfReached(int input)
    {
        if (_engine!.PositionOf(input) >= _awaitedUntil[input])
        {
            _engine.Release(input);
        }
    }

    /// <summary>The answer to an input's fetch, if it has come.</summary>
    private Task<FetchResult>? TakeFetched(int input)
    {
        if (_fetches[input] is not { IsCompleted: true } fetched)
        {
            return null;
        }

        _fetches[input] = null;
        return fetched;
    }

    /// <summary>Waits until a fetch has come, a commit is due, a commit has failed, or somebody woke the task.</summary>
    private async Task WaitForInputAsync(CancellationToken cancellationToken)
    {
        var waits = new List<Task>(_fetches.Length + 3);
        var alignmentLeft = AlignmentLeft();
        for (var input = 0; input < _fetches.Length; input++)
        {
            // What is too far ahead of the others waits for them, whether it was fetched already or not.
            if (_readsByTime)
            {
                waits.AddRange(WaitsByTime(input, cancellationToken));
            }
            else if (!_engine!.IsInputEnded(input) && !IsHeld(input))
            {
                waits.Add(_rest[input].IsEmpty ? _fetches[input] ??= FetchAsync(input, _engine.PositionOf(input), cancellationToken) : Task.CompletedTask);
            }
        }

        if (waits.Exists(wait => wait.IsCompleted) || (_readsByTime && NextByTime(out _, out _)))
        {
            return;
        }

        if (_wake.Task.IsCompleted)
        {
            _wake = NewWake();
        }

        waits.Add(_wake.Task);
        if (!_commit.IsCompleted)
        {
            waits.Add(_commit);
        }

        if (_stop.IsCancellationRequested || (_queries.Count > 0 && _engine!.HasChanges))
        {
            return;
        }

        // Without changes, a fetch that comes back empty is soon enough to look after idle inputs; an outbox that is delivered is noted after as long.
        using var waiting = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        if (alignmentLeft is { } left && !_isPaused)
        {
            waits.Add(DelayAsync(left, waiting.Token));
        }

        if (_engine!.FollowsClock && !_engine.HasChanges && !_isPaused)
        {
            waits.Add(Task.Delay(s_clockInterval, Time, waiting.Token));
        }

        if (_engine.NextWallClockDue != long.MaxValue && !_isPaused)
        {
            waits.Add(Task.Delay(TimeSpan.FromMilliseconds(Math.Clamp(_engine.NextWallClockDue - NowMs, 0, WallClockWaitMaxMs)), Time, waiting.Token));
        }

        if (_engine!.HasChanges && _commit.IsCompleted)
        {
            var untilCommit = _engine.HasTakenOutMarked ? TimeSpan.Zero : Time.GetElapsedTime(Time.GetTimestamp(), _nextCommit);
            waits.Add(DelayAsync(untilCommit, waiting.Token));
        }

        await Task.WhenAny(waits);
        await waiting.CancelAsync();
        if (_commit.IsFaulted)
        {
            await _commit;
        }
    }

    /// <summary>Timers leave fractions of a millisecond out: who waits for the rest of a time waits a little longer, not again and again for nothing.</summary>
    private Task DelayAsync(TimeSpan wait, CancellationToken cancellationToken) =>
        Task.Delay(TimeSpan.FromMilliseconds(Math.Max(0, Math.Ceiling(wait.TotalMilliseconds))), Time, cancellationToken);

    private async Task ProcessFetchedAsync(int input, Task<FetchResult> fetched, CancellationToken cancellationToken)
    {
        await ReceiveAsync(input, fetched, cancellationToken);
        await ProcessRestAsync(input);
    }

    /// <summary>Takes what was fetched, to be processed.</summary>
    private async Task ReceiveAsync(int input, Task<FetchResult> fetched, CancellationToken cancellationToken)
    {
        FetchResult result;
        try
        {
            result = await fetched;
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.OffsetOutOfRange)
        {
            throw new StreamsException(
                error.Code,
                $"Task {_name} has to read topic '{_plan.PartitionOf(input).Topic}' from offset {_engine!.PositionOf(input)}, but those records are gone (retention or deletion): raise the topic's retention, and process anew what is left. {ApplicationNames.ProcessAnew(_plan.Application)} {error.Message}",
                inner: error);
        }

        NoteHighWatermark(input, result.HighWatermark);
        _awaitedUntil[input] = Math.Min(_awaitedUntil[input], result.HighWatermark);
        if (_engine!.IsInputEnded(input))
        {
            // What stands behind the end is somebody else's.
            return;
        }

        if (result.Batches.IsEmpty)
        {
            // It was read as far as there is anything, whatever offsets were left out.
            _highWatermarks[input] = Math.Min(result.HighWatermark, _engine.PositionOf(input));
            _engine.MarkSilent(input, NowMs);
            await NoteDeliveryAsync();
            return;
        }

        // The next records travel while these are processed.
        _fetches[input] = FetchAsync(input, result.NextOffset, cancellationToken);
        _rest[input] = result.Batches;
    }

    /// <summary>Processes what was fetched, or as much of it as may be processed now.</summary>
    private async Task ProcessRestAsync(int input)
    {
        while (!_rest[input].IsEmpty && !_stop.IsCancellationRequested && !IsHeld(input))
        {
            await ClaimIfDueAsync(input);
            var bytes = RecordBatchHeader.Read(_rest[input].Span).TotalBytes;
            MarkArrived();
            _engine!.SetClock(NowMs);
            _engine.ProcessBatch(input, _rest[input][..bytes]);

            // What stands behind the end is somebody else's.
            _rest[input] = _engine.IsInputEnded(input) ? default : _rest[input][bytes..];
            ReleaseIfReached(input);
            await CommitIfDueAsync();
            await YieldAsync();
        }
    }

    /// <summary>In a pause of the input: the last outbox was delivered, which an entry behind it says.</summary>
    private async Task NoteDeliveryAsync()
    {
        if (_isOutboxPending && !_engine!.HasChanges)
        {
            await CommitAsync();
        }
    }

    private Task<FetchResult> FetchAsync(int input, long offset, CancellationToken cancellationToken)
    {
        var partition = _plan.PartitionOf(input);
        var request = new FetchRequest(offset, Options.FetchBytes, 1, (int)Options.FetchWait.TotalMilliseconds);
        return RetryAsync(() => _environment.Topics.FetchAsync(partition, request, cancellationToken));
    }

    private async Task RunFileAsync()
    {
        var node = _plan.SubTopology.File!;
        var engine = _engine!;
        using var file = _environment.Files.Open(node.Path);
        var identity = await SourceLines.IdentifyAsync(file, _stop.Token);
        if (engine.File!.Offset == 0)
        {
            // Nothing of it was committed yet: a file that was mended meanwhile is as good as the first.
            engine.BeginFile(identity);
        }

        SourceLines.Check(engine.File!, identity, node.Path);
        using var lines = new SourceLines(file, node.Path, Options.FileBlockBytes);
        var began = Time.GetTimestamp();
        var taken = 0L;
        while (!_stop.IsCancellationRequested)
        {
            if (_isPaused)
            {
                await WaitForInputAsync(_stop.Token);
                await CommitIfDueAsync();
                (began, taken) = (Time.GetTimestamp(), 0);
                continue;
            }

            await lines.FillAsync(engine.File!.Offset, engine.File.Line, _stop.Token);
            if (lines.IsAtEnd)
            {
                engine.EndOfFile();
                return;
            }

            var allowed = _rowsPerSecond <= 0 ? long.MaxValue : (long)(Time.GetElapsedTime(began).TotalSeconds * _rowsPerSecond) + 1 - taken;
            engine.AdvanceTime(NowMs);
            var now = TakeLines(engine, lines, Math.Min(allowed, 512));
            taken += now;
            await CommitIfDueAsync();
            if (now == 0 && allowed <= 0)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(Math.Clamp(1000 / _rowsPerSecond, 1, 50)), Time, _stop.Token);
            }

            await YieldAsync();
        }
    }

    private static long TakeLines(TaskEngine engine, SourceLines lines, long count)
    {
        var taken = 0L;
        while (taken < count && lines.TryTake(out var line, out var bytes))
        {
            var at = engine.File!;
            engine.ProcessLine(line, at with { Offset = at.Offset + bytes, Line = at.Line + 1 });
            taken++;
        }

        return taken;
    }

    private async Task CommitIfDueAsync()
    {
        if (_queries.Count > 0 && !_engine!.HasChanges && _commit.IsCompletedSuccessfully)
        {
            AnswerQueries();
        }

        if (IsCommitDue())
        {
            // Past the bound of memory, or when asked, the commit before is waited for; else it may take its time.
            if (!_commit.IsCompleted && _queries.Count == 0 && _engine!.PendingBytes < CommitsAhead * Options.CommitBytes)
            {
                return;
            }

            await CommitAsync();
        }
    }

    /// <summary>Answers queries that came while the last commit was under way and that nothing has changed since.</summary>
    private void AnswerQueries()
    {
        foreach (var pending in _queries)
        {
            pending.Evaluate(_engine!, _committedAt)();
        }

        _queries.Clear();
    }

    /// <summary>Delivers an outbox; every partition's items in order, the partitions side by side.</summary>
    private Task DeliverAsync(IReadOnlyList<OutboxItem> outbox) => outbox.Count == 0 ? Task.CompletedTask : Task.WhenAll(outbox.Select(DeliverAsync));

    private async Task DeliverAsync(OutboxItem item)
    {
        for (var rest = item.Batches; !rest.IsEmpty;)
        {
            var (bytes, batches) = (0, 0);
            do
            {
                bytes += RecordBatchHeader.Read(rest.Span[bytes..]).TotalBytes;
                batches++;
            }
            while (batches < DeliveryBatches && bytes < rest.Length && bytes + RecordBatchHeader.Read(rest.Span[bytes..]).TotalBytes <= DeliveryBytes);

            var request = rest[..bytes];
            await RetryAsync(() => AppendAsync(item.Partition, request));
            rest = rest[bytes..];
        }
    }

    private async Task<bool> AppendAsync(TopicPartition partition, ReadOnlyMemory<byte> batches)
    {
        try
        {
            await _environment.Topics.AppendAsync(partition, batches);
            return true;
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.DuplicateSequence)
        {
            return false;
        }
    }

    /// <summary>Repeats a call until it succeeds, fails for good, or the task is stopped.</summary>
    private async Task<T> RetryAsync<T>(Func<Task<T>> call)
    {
        var pause = Options.RetryPause;
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                var answer = await call();
                _retrying = attempt > 1 ? null : _retrying;
                return answer;
            }
            catch (Exception error) when (!_stop.IsCancellationRequested && error is not OperationCanceledException && IsRetriable(error))
            {
                _retrying = $"tries again: {error.Message}";
                if (attempt % AttemptsPerWarning == 1)
                {
                    _environment.Logger.CallRetried(_name, attempt, error.Message);
                }

                await Task.Delay(pause, Time, _stop.Token);
                pause = TimeSpan.FromTicks(Math.Min(pause.Ticks * 2, Options.RetryPauseMax.Ticks));
            }
        }
    }
}
