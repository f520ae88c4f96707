using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Processing;

/// <summary>
/// In which order a task takes records of different topics where that makes a difference: when a stream's records look up a table. The earliest event time goes first, as far as records
/// are there; while an input has records that have not come yet, the others wait for it. One that was read to its end holds nobody up: what is written later than it should is met later.
/// (The rule of Kafka's KIP-353 and KIP-695, but for the time that these may wait for what is not written yet.) A global table is first read as far as its topic goes when the task starts.
/// </summary>
internal sealed partial class StreamTask
{
    private static readonly TimeSpan s_tableWait = TimeSpan.FromSeconds(5);

    private readonly bool _readsByTime;
    private readonly int[] _byRank;
    private readonly long[] _tableUntil;
    private Task _bootstrap = Task.CompletedTask;

    /// <summary>Finds out how far each input goes now, before the first fetch is answered.</summary>
    private async Task BeginOrderAsync()
    {
        for (var input = 0; _readsByTime && input < _highWatermarks.Length; input++)
        {
            var partition = _plan.PartitionOf(input);
            _highWatermarks[input] = (await RetryAsync(() => _environment.Topics.GetOffsetsAsync(partition))).HighWatermark;
        }
    }

    /// <summary>Processes what can be processed now, the earliest first.</summary>
    private async Task ProcessByTimeAsync(CancellationToken cancellationToken)
    {
        while (!_stop.IsCancellationRequested && !_isPaused)
        {
            for (var input = 0; input < _fetches.Length; input++)
            {
                if (_rest[input].IsEmpty && TakeFetched(input) is { } fetched)
                {
                    await ReceiveAsync(input, fetched, cancellationToken);
                }

                if (!_rest[input].IsEmpty)
                {
                    await ClaimIfDueAsync(input);
                }
            }

            if (!NextByTime(out var next, out var last))
            {
                return;
            }

            MarkArrived();
            _engine!.SetClock(NowMs);
            var batch = _rest[next][..RecordBatchHeader.Read(_rest[next].Span).TotalBytes];
            if (_engine.ProcessUntil(next, batch, last))
            {
                // What stands behind the end is somebody else's.
                _rest[next] = _engine.IsInputEnded(next) ? default : _rest[next][batch.Length..];
                ReleaseIfReached(next);
            }

            await CommitIfDueAsync();
            await YieldAsync();
        }
    }

    /// <summary>The fetch of an input that has nothing to be processed: what was fetched waits for its time.</summary>
    private IEnumerable<Task> WaitsByTime(int input, CancellationToken cancellationToken) =>
        _isPaused || _engine!.IsInputEnded(input) || !_rest[input].IsEmpty ? [] : [_fetches[input] ??= FetchAsync(input, _engine.PositionOf(input), cancellationToken)];

    /// <summary>The input whose next record is the earliest, and the time up to which its records are. False when none may be processed now.</summary>
    private bool NextByTime(out int next, out long last)
    {
        (next, last) = (-1, long.MaxValue);
        var time = long.MaxValue;
        foreach (var input in _byRank)
        {
            if (_engine!.IsInputEnded(input) || IsHeldForTable(input))
            {
                continue;
            }

            var isTable = _plan.TableWriters.ContainsKey(input);
            if (_rest[input].IsEmpty)
            {
                if (!isTable && _engine.PositionOf(input) < Math.Min(_highWatermarks[input], _plan.EndOffsetOf(input)))
                {
                    next = -1;
                    return false;
                }

                continue;
            }

            var batch = _rest[input][..RecordBatchHeader.Read(_rest[input].Span).TotalBytes];
            var at = isTable ? long.MinValue : _engine.NextTime(input, batch);
            if (next < 0 || at < time)
            {
                // Of equal times that of the lower rank goes first: a table before the stream that looks it up.
                last = next < 0 ? long.MaxValue : time - 1;
                (next, time) = (input, at);
            }
            else
            {
                last = Math.Min(last, at);
            }
        }

        // With records of several inputs at hand their order keeps them together; one alone may be too far ahead of those that have none.
        var isAlone = last == long.MaxValue;
        last = _plan.TableWriters.ContainsKey(next) ? long.MaxValue : last;
        return next >= 0 && !_isPaused && (!isAlone || !_engine!.IsInputAhead(next));
    }

    /// <summary>Whether an input waits for a global table that is not loaded yet.</summary>
    private bool IsHeldForTable(int input)
    {
        foreach (var table in _plan.TableWriters.Keys)
        {
            if (_engine!.PositionOf(table) < _tableUntil[table] && !_engine.IsInputEnded(table))
            {
                return !_plan.TableWriters.ContainsKey(input);
            }
        }

        return false;
    }

    /// <summary>Begins to find out how far the global tables have to be read before anything else is.</summary>
    private void BeginBootstrap()
    {
        if (_environment.Upstream is { } upstream && _plan.TableWriters.Count > 0)
        {
            Array.Fill(_tableUntil, long.MaxValue);
            _bootstrap = Task.WhenAll(_plan.TableWriters.Select(table => BootstrapAsync(table.Key, table.Value, upstream)));
        }
    }

    private async Task BootstrapAsync(int input, IReadOnlyList<TableWriterTask> writers, IUpstreamTasks upstream)
    {
        try
        {
            foreach (var (task, source) in writers)
            {
                var offsets = await RetryAsync(() => _environment.Topics.GetOffsetsAsync(source));
                if (offsets.HighWatermark > offsets.LogStartOffset)
                {
                    await ReflectedAsync(upstream, task, new InputOffset(source.Topic, source.Partition, offsets.HighWatermark - 1));
                }
            }

            var copy = _plan.PartitionOf(input);
            _tableUntil[input] = (await RetryAsync(() => _environment.Topics.GetOffsetsAsync(copy))).HighWatermark;
            _wake.TrySetResult();
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // The next run begins anew.
        }
    }

    /// <summary>Waits, as long as it takes, until a task has copied what a table's topic has.</summary>
    private async Task ReflectedAsync(IUpstreamTasks upstream, string task, InputOffset input)
    {
        while (true)
        {
            try
            {
                await upstream.ReflectAsync(task, input, s_tableWait).WaitAsync(_stop.Token);
                return;
            }
            catch (Exception error) when (!_stop.IsCancellationRequested)
            {
                // It is not up yet, has more to read, or has failed: then there is no table to look up until it is mended.
                _retrying = $"waits for a global table: {error.Message}";
                await Task.Delay(Options.RetryPause, Time, _stop.Token);
            }
            finally
            {
                _retrying = null;
            }
        }
    }
}
