using System.Globalization;
using OrleansStreams.Processing.Watermarks;

namespace OrleansStreams.Processing;

/// <summary>What the task answers while it runs: committed state only.</summary>
internal sealed partial class StreamTask
{
    private readonly List<Reflection> _reflections = [];
    private readonly Dictionary<string, long> _scannedAt = new(StringComparer.Ordinal);
    private TaskProgress? _delivered;

    /// <summary>Reads a key.</summary>
    /// <exception cref="StreamsException">StoreNotFound, ApplicationNotRunning, TaskNotReady, RequestTimedOut.</exception>
    public Task<StateQueryResult> QueryAsync(StateQuery query) => ReadAsync((engine, offset) =>
    {
        var (entries, continuation) = engine.Query(query);
        return new StateQueryResult([.. entries], engine.Watermarks.Watermark, offset) { ValueSerde = engine.ValueSerdeOf(query.Store), Partition = _plan.Partition, Continuation = continuation };
    });

    /// <summary>Reads a page of a store.</summary>
    /// <exception cref="StreamsException">StoreNotFound, ApplicationNotRunning, TaskNotReady, RequestTimedOut, InvalidRequest.</exception>
    public async Task<StoreScanResult> ScanAsync(StoreScan scan)
    {
        var began = Time.GetTimestamp();
        while (true)
        {
            await OrderAsync(scan.Store, began);
            if (await ReadAsync((engine, offset) => PageOf(engine, offset, scan)) is { } page)
            {
                return page;
            }
        }
    }

    /// <summary>Brings the keys of a store into order, a turn at a time, in between of which the task goes on. It is kept as long as somebody reads.</summary>
    private async Task OrderAsync(string store, long began)
    {
        while (_engine is { } engine)
        {
            var isOrdered = engine.Order(store);
            _scannedAt[store] = Time.GetTimestamp();
            if (isOrdered)
            {
                return;
            }

            if (Time.GetElapsedTime(began) > Options.QueryWait)
            {
                throw new StreamsException(StreamsErrorCode.TaskNotReady, $"Task {_name} is bringing the keys of store '{store}' into order for its first range query: ask again.");
            }

            await Task.Yield();
        }
    }

    /// <summary>Forgets the orders of keys that nobody asks for any more.</summary>
    private void DropOrders()
    {
        foreach (var (store, at) in _scannedAt)
        {
            if (Time.GetElapsedTime(at) > s_feedPatience)
            {
                _scannedAt.Remove(store);
                _engine?.DropOrder(store);
            }
        }
    }

    private StoreScanResult? PageOf(TaskEngine engine, long offset, StoreScan scan) => engine.Scan(scan) is not var (rows, continuation)
        ? null
        : new StoreScanResult([.. rows], [new PartitionView(_plan.Partition, _plan.TaskId, engine.Watermarks.Watermark, offset, engine.State.Commit)], continuation)
        {
            KeySerde = engine.KeySerdeOf(scan.Store),
            ValueSerde = engine.ValueSerdeOf(scan.Store),
        };

    /// <summary>Waits until an input's record was processed by a commit that is durable and whose results are delivered.</summary>
    /// <exception cref="StreamsException">RequestTimedOut, TaskNotReady, ApplicationNotRunning; InvalidRequest when the task does not read that partition.</exception>
    public async Task ReflectAsync(InputOffset wanted, TimeSpan wait)
    {
        var input = Enumerable.Range(0, _plan.SubTopology.Sources.Length).FirstOrDefault(at => _plan.PartitionOf(at).Topic == wanted.Topic, -1);
        if (input < 0 || wanted.Partition != _plan.Partition)
        {
            throw new StreamsException(StreamsErrorCode.InvalidRequest, $"Task {_name} does not read partition {wanted.Partition} of topic '{wanted.Topic}': name a record of a topic that the application reads.");
        }

        if (IsReflected(_delivered, input, wanted.Offset))
        {
            return;
        }

        if (State is not (StreamTaskState.Running or StreamTaskState.Restoring))
        {
            throw State == StreamTaskState.Completed ? TooLate(wanted, wait) : NotRunning();
        }

        var reflection = new Reflection(input, wanted.Offset);
        _reflections.Add(reflection);
        try
        {
            await reflection.Done.Task.WaitAsync(wait, Time);
        }
        catch (TimeoutException)
        {
            _reflections.Remove(reflection);
            throw TooLate(wanted, wait);
        }
    }

    /// <summary>
    /// Reads as of a durable commit: when nothing is uncommitted, at once; else as it is when the next commit is made (which a read hastens), and answered
    /// when that commit is durable. Uncommitted changes are hence never seen, without a second copy of the state.
    /// </summary>
    private async Task<T> ReadAsync<T>(Func<TaskEngine, long, T> read)
    {
        if (State is not (StreamTaskState.Running or StreamTaskState.Completed or StreamTaskState.Stopped))
        {
            throw NotRunning();
        }

        if (_engine is { HasChanges: false } engine && _commit.IsCompletedSuccessfully)
        {
            return read(engine, _committedAt);
        }

        if (State != StreamTaskState.Running)
        {
            throw NotRunning();
        }

        var pending = new PendingRead<T>(read);
        _queries.Add(pending);
        _wake.TrySetResult();
        try
        {
            return await pending.Answer.Task.WaitAsync(Options.QueryWait, Time);
        }
        catch (TimeoutException)
        {
            _queries.Remove(pending);
            throw new StreamsException(StreamsErrorCode.RequestTimedOut, $"Task {_name} did not commit within {Options.QueryWait}: see its status, then ask again.");
        }
    }

    /// <summary>A commit is durable and delivered.</summary>
    private void TellReflected(TaskProgress progress)
    {
        _delivered = progress;
        TellCommitted();
        for (var at = _reflections.Count - 1; at >= 0; at--)
        {
            if (IsReflected(progress, _reflections[at].Input, _reflections[at].Offset))
            {
                _reflections[at].Done.TrySetResult();
                _reflections.RemoveAt(at);
            }
        }
    }

    private void FailReflections()
    {
        _commitSignal.TrySetResult();
        _reflections.ForEach(reflection => reflection.Done.TrySetException(NotRunning()));
        _reflections.Clear();
    }

    private static bool IsReflected(TaskProgress? progress, int input, long offset) => progress is not null && progress.Positions[input] > offset;

    private StreamsException TooLate(InputOffset wanted, TimeSpan wait) => new(
        StreamsErrorCode.RequestTimedOut,
        string.Create(CultureInfo.InvariantCulture, $"Task {_name} has not committed offset {wanted.Offset} of topic '{wanted.Topic}', partition {wanted.Partition}, within {wait.TotalMilliseconds:0} ms; it is {State.ToString().ToLowerInvariant()}: ask again, or see its status."));

    private long WatermarkLag(long watermark) => watermark switch
    {
        WatermarkTracker.None => -1,
        WatermarkTracker.End => 0,
        _ => Math.Max(0, NowMs - watermark),
    };

    private sealed record Reflection(int Input, long Offset)
    {
        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>A read that waits for a commit.</summary>
    private abstract class PendingRead
    {
        /// <summary>Reads now; the result answers later.</summary>
        public abstract Action Evaluate(TaskEngine engine, long offset);

        public abstract void Fail(StreamsException error);
    }

    private sealed class PendingRead<T>(Func<TaskEngine, long, T> read) : PendingRead
    {
        public TaskCompletionSource<T> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override Action Evaluate(TaskEngine engine, long offset)
        {
            try
            {
                var result = read(engine, offset);
                return () => Answer.TrySetResult(result);
            }
            catch (StreamsException error)
            {
                return () => Answer.TrySetException(error);
            }
        }

        public override void Fail(StreamsException error) => Answer.TrySetException(error);
    }
}
