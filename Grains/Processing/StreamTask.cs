using OrleansStreams.Log;
using OrleansStreams.Processing.Journal;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Records;

namespace OrleansStreams.Processing;

/// <summary>How often a task commits.</summary>
internal sealed record TaskOptions
{
    /// <summary>The time from the first change to its commit.</summary>
    public TimeSpan CommitInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Bytes of output that make it commit earlier.</summary>
    public long CommitBytes { get; init; } = 8L * 1024 * 1024;

    /// <summary>Lines of a file source between two commits at most.</summary>
    public int CommitRows { get; init; } = 20_000;
}

/// <summary>
/// Runs a task's engine exactly once. A commit is ONE atomic append to the task's own journal: changed state, input position, watermark and the outbox,
/// stamped with the task's producer id and sequences. Only when it is durable is the outbox delivered; the output partitions drop by sequence what they
/// have already. After a crash the journal is replayed and the last outbox delivered again, before anything else.
/// <para>
/// One commit is under way at a time, while the engine goes on with the next records: so only the last entry's outbox can be undelivered. No producer epoch
/// is raised on a restart: a zombie cannot append to the journal (its leader epoch is fenced), so all that it can still deliver is what the journal
/// holds, the same bytes under the same sequences.
/// </para>
/// Turn-based like the grain that owns it: its continuations run one at a time, and it yields between chunks so that queries get their turn.
/// </summary>
internal sealed class StreamTask(TaskEngine engine, TaskJournal journal, ITaskTransport transport, ISourceFiles files, TaskOptions options, TimeProvider time) : IAsyncDisposable
{
    private readonly List<(StateQuery Query, TaskCompletionSource<StateQueryResult> Answer)> _queries = [];
    private TaskCompletionSource _wake = NewSignal();
    private Task _commit = Task.CompletedTask;
    private FileLineReader? _lines;
    private bool _stopping;
    private long _changedAt;
    private long _highWatermark = -1;
    private long _began;
    private long _recordsAtBegin;

    public TaskEngine Engine => engine;

    /// <summary>Records behind the high watermark last seen, or -1.</summary>
    public long Lag => engine.Input is null || _highWatermark < 0 ? -1 : Math.Max(0, _highWatermark - engine.Position);

    public long SourceBytesTotal => engine.FileInput is null ? -1 : engine.FilePosition.Length;

    public double RecordsPerSecond => _began == 0 ? 0 : (engine.Counters.RecordsIn - _recordsAtBegin) / Math.Max(0.001, time.GetElapsedTime(_began).TotalSeconds);

    /// <summary>Replays the journal and delivers its last outbox again; makes the journal when it is new.</summary>
    public async Task RestoreAsync(CancellationToken cancellationToken)
    {
        var outbox = new List<Operators.OutboxBatch>();
        await foreach (var entry in journal.ReadAsync(cancellationToken))
        {
            outbox = engine.Apply(entry);
        }

        if (journal.IsEmpty)
        {
            // The producer id is durable before its first use.
            var position = engine.Input is { } input ? (await transport.GetOffsetsAsync(input)).LogStartOffset : 0;
            engine.Begin(await transport.AllocateProducerIdAsync(), position);
            await journal.AppendAsync(engine.Drain(full: true).Entry, full: true);
        }

        foreach (var (partition, batch) in outbox)
        {
            await transport.DeliverAsync(partition, batch, cancellationToken);
        }
    }

    /// <summary>Processes until the input ends or it is stopped; either way the last commit is durable and delivered.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        _began = time.GetTimestamp();
        _recordsAtBegin = engine.Counters.RecordsIn;
        try
        {
            if (engine.FileInput is not null)
            {
                await RunFileAsync(cancellationToken);
            }
            else
            {
                await RunTopicAsync(cancellationToken);
            }

            await _commit;
            if (engine.HasChanges || _queries.Count > 0)
            {
                await CommitAsync(cancellationToken);
            }
        }
        catch (Exception error)
        {
            FailQueries(error);
            throw;
        }
    }

    /// <summary>Asks <see cref="RunAsync"/> to come to its end.</summary>
    public void Stop()
    {
        _stopping = true;
        _wake.TrySetResult();
    }

    /// <summary>
    /// Answers from committed state only. When nothing is uncommitted, at once; else the answer is taken at the point where the next commit is cut, and
    /// given when that commit is durable. A query hurries the commit.
    /// </summary>
    public Task<StateQueryResult> QueryAsync(StateQuery query)
    {
        if (!engine.HasChanges && _commit.IsCompletedSuccessfully)
        {
            return Task.FromResult(Answer(query, journal.LastOffset));
        }

        var answer = new TaskCompletionSource<StateQueryResult>(TaskCreationOptions.RunContinuationsAsynchronously);
        _queries.Add((query, answer));
        _wake.TrySetResult();
        return answer.Task;
    }

    public async ValueTask DisposeAsync()
    {
        FailQueries(new StreamsException(StreamsErrorCode.ApplicationNotRunning, "the task was stopped; ask again when it runs"));
        _lines?.Dispose();
        await journal.DisposeAsync();
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async Task RunTopicAsync(CancellationToken cancellationToken)
    {
        var input = engine.Input!.Value;
        using var fetching = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var fetch = engine.HasEnded ? null : transport.FetchAsync(input, engine.Position, fetching.Token);
        try
        {
            while (!_stopping && fetch is not null)
            {
                await WaitAsync(fetch, cancellationToken);
                if (fetch.IsCompleted)
                {
                    var result = await fetch;
                    _highWatermark = result.HighWatermark;

                    // The next answer is on its way while this one is handled.
                    fetch = transport.FetchAsync(input, result.NextOffset, fetching.Token);
                    await ProcessAsync(result.Batches, cancellationToken);
                    fetch = engine.HasEnded ? null : fetch;
                }

                await CommitIfDueAsync(cancellationToken);
            }
        }
        finally
        {
            await fetching.CancelAsync();
        }
    }

    private async Task ProcessAsync(ReadOnlyMemory<byte> batches, CancellationToken cancellationToken)
    {
        var handled = 0;
        while (!batches.IsEmpty && !engine.HasEnded)
        {
            var length = RecordBatchHeader.Read(batches.Span).TotalBytes;
            Changing();
            engine.ProcessBatch(batches[..length]);
            batches = batches[length..];
            handled += length;
            if (handled >= 256 * 1024)
            {
                handled = 0;
                await CommitIfDueAsync(cancellationToken);
                await Task.Yield();
            }
        }
    }

    private async Task RunFileAsync(CancellationToken cancellationToken)
    {
        if (engine.HasEnded)
        {
            return;
        }

        var input = engine.FileInput!;
        _lines = new FileLineReader(files.Open(input.Path), input.Path);
        engine.IdentifyFile(await _lines.SeekAsync(engine.FilePosition, cancellationToken));
        var firstRow = engine.FilePosition.Row;
        var committedRow = firstRow;
        while (!_stopping && await _lines.FillAsync(cancellationToken))
        {
            await KeepToRateAsync(input.RowsPerSecond, engine.FilePosition.Row - firstRow, cancellationToken);
            var allowed = RowsAllowed(input.RowsPerSecond, engine.FilePosition.Row - firstRow);
            while (allowed-- > 0 && _lines.TryTake(out var line, out var bytes))
            {
                Changing();
                engine.ProcessLine(line, bytes);
            }

            if (engine.FilePosition.Row - committedRow >= options.CommitRows)
            {
                committedRow = engine.FilePosition.Row;
                await _commit;
                StartCommit(cancellationToken);
            }

            await CommitIfDueAsync(cancellationToken);
            await Task.Yield();
        }

        if (!_stopping)
        {
            engine.EndFile();
        }
    }

    // At least a millisecond's worth, so that the timer's coarseness does not eat the rate; at most a chunk, so that queries get their turn.
    private long RowsAllowed(double rowsPerSecond, long rows) => rowsPerSecond <= 0
        ? 2_000
        : Math.Clamp((long)(time.GetElapsedTime(_began).TotalSeconds * rowsPerSecond) - rows, 1, 2_000);

    private async Task KeepToRateAsync(double rowsPerSecond, long rows, CancellationToken cancellationToken)
    {
        while (rowsPerSecond > 0 && !_stopping && rows >= time.GetElapsedTime(_began).TotalSeconds * rowsPerSecond)
        {
            await WaitAsync(Task.Delay(TimeSpan.FromMilliseconds(10), time, cancellationToken), cancellationToken);
            await CommitIfDueAsync(cancellationToken);
        }
    }

    private void Changing()
    {
        if (!engine.HasChanges)
        {
            _changedAt = time.GetTimestamp();
        }
    }

    /// <summary>Waits for input, for the commit under way, for the time to commit, or for a query or stop.</summary>
    private async Task WaitAsync(Task input, CancellationToken cancellationToken)
    {
        if (input.IsCompleted)
        {
            return;
        }

        if (_wake.Task.IsCompleted)
        {
            _wake = NewSignal();
            return;
        }

        List<Task> awaited = [input, _wake.Task];
        if (!_commit.IsCompleted)
        {
            awaited.Add(_commit);
        }
        else if (engine.HasChanges)
        {
            var left = options.CommitInterval - time.GetElapsedTime(_changedAt);
            if (left <= TimeSpan.Zero)
            {
                return;
            }

            awaited.Add(Task.Delay(left, time, cancellationToken));
        }

        await Task.WhenAny(awaited);
    }

    private async Task CommitIfDueAsync(CancellationToken cancellationToken)
    {
        if (!_commit.IsCompleted)
        {
            if (engine.PendingBytes < 4 * options.CommitBytes)
            {
                return;
            }

            // The engine is far ahead of the disk: wait, so that memory stays bounded.
            await _commit;
        }

        await _commit;
        var due = engine.HasChanges && (time.GetElapsedTime(_changedAt) >= options.CommitInterval || engine.PendingBytes >= options.CommitBytes || engine.HasEnded);
        if (due || _queries.Count > 0)
        {
            StartCommit(cancellationToken);
        }
    }

    private void StartCommit(CancellationToken cancellationToken) => _commit = CommitAsync(cancellationToken);

    private async Task CommitAsync(CancellationToken cancellationToken)
    {
        var full = journal.WantsSnapshot;
        var commit = engine.Drain(full);
        var answers = _queries.Select(query => (query.Answer, Result: Try(() => Answer(query.Query, journal.LastOffset + 1)))).ToList();
        _queries.Clear();
        try
        {
            await journal.AppendAsync(commit.Entry, full);
        }
        catch (Exception error)
        {
            foreach (var (answer, _) in answers)
            {
                answer.TrySetException(error);
            }

            throw;
        }

        foreach (var (answer, result) in answers)
        {
            if (result.Error is { } error)
            {
                answer.TrySetException(error);
            }
            else
            {
                answer.TrySetResult(result.Value!);
            }
        }

        // Partitions are independent, and each gets its batches in order.
        await Task.WhenAll(commit.Outbox.GroupBy(batch => batch.Partition).Select(async partition =>
        {
            foreach (var (to, batch) in partition)
            {
                await transport.DeliverAsync(to, batch, cancellationToken);
            }
        }));
    }

    private StateQueryResult Answer(StateQuery query, long commitOffset) => new([.. engine.Query(query)], engine.Watermark, commitOffset);

    private static (StateQueryResult? Value, Exception? Error) Try(Func<StateQueryResult> answer)
    {
        try
        {
            return (answer(), null);
        }
        catch (StreamsException error)
        {
            return (null, error);
        }
    }

    private void FailQueries(Exception error)
    {
        foreach (var (_, answer) in _queries)
        {
            answer.TrySetException(error);
        }

        _queries.Clear();
    }
}
