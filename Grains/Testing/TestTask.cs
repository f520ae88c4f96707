using System.Text;
using OrleansStreams.Processing;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Processing.State;

namespace OrleansStreams.Testing;

/// <summary>A task of a <see cref="TopologyTestDriver"/>, as it is.</summary>
/// <param name="TaskId">sub-topology "_" partition.</param>
/// <param name="EventTimeWatermark">Its event-time watermark, ms since the Unix epoch; long.MinValue before the first event, long.MaxValue after the end of input.</param>
/// <param name="RecordsIn">Records that it has processed.</param>
/// <param name="RecordsOut">Records that it has written.</param>
/// <param name="LateRecords">Late events that it has counted.</param>
/// <param name="StateEntries">Entries in its stores.</param>
/// <param name="IsCompleted">Whether every input has come to its end.</param>
public sealed record TestTaskStatus(
    string TaskId, long EventTimeWatermark, long RecordsIn, long RecordsOut, long LateRecords, long StateEntries, bool IsCompleted)
{
    /// <summary>Records that it has skipped; those among them that went to a dead-letter topic, too.</summary>
    public long SkippedRecords { get; init; }

    /// <summary>Records that it has sent to a dead-letter topic.</summary>
    public long DeadLetters { get; init; }
}

/// <summary>An engine, its journal, and its places in the topics.</summary>
internal sealed class TestTask
{
    private readonly TaskPlan _plan;
    private readonly TestTopics _topics;
    private readonly List<(byte[] Entry, bool BeginsSnapshot)> _journal = [];
    private readonly List<string> _lines = [];
    private TaskEngine _engine;
    private readonly List<PoisonRecord> _poison = [];
    private bool _isFileClosed;

    public TestTask(TaskPlan plan, TestTopics topics)
    {
        // What a test pipes in has no task that could say when it ends: the driver does.
        _plan = plan with { Writers = [.. plan.Writers.Select(writers => writers.Count > 0 ? writers : [TestTopics.DriverTask])] };
        _topics = topics;
        _engine = new TaskEngine(_plan);
        _engine.Begin(topics.AllocateProducerId(), new long[_plan.SubTopology.Sources.Length], _plan.SubTopology.File is null ? null : new FilePosition(0, 0, 0, 0));
    }

    public string? FileName => _plan.SubTopology.File?.Name;

    public TaskEngine Engine => _engine;

    public TestTaskStatus Status
    {
        get
        {
            var progress = _engine.Progress;
            return new TestTaskStatus(
                _plan.TaskId, progress.Watermark, progress.RecordsIn, progress.RecordsOut, progress.LateRecords, progress.StateEntries, progress.IsCompleted)
            {
                SkippedRecords = progress.SkippedRecords,
                DeadLetters = progress.DeadLetters,
            };
        }
    }

    /// <summary>When what it processes next was written, counted over all topics; long.MaxValue when there is nothing.</summary>
    public long NextSequence => NextBatch().Sequence;

    public bool HasStore(string name) => _engine.Stores.Any(store => store.Name == name);

    public IStateStore StoreOf(string name) => _engine.Store(name);

    public void AddLine(string line)
    {
        if (_isFileClosed)
        {
            throw new StreamsException(StreamsErrorCode.InvalidRequest, $"The file source '{FileName}' has been closed by CloseInputs: pipe its lines before.");
        }

        _lines.Add(line);
    }

    public void EndFile() => _isFileClosed = true;

    public void ProcessNext(long nowMs)
    {
        try
        {
            TryProcessNext(nowMs);
        }
        catch (PoisonRecordException error)
        {
            // As in a silo: what was processed since the last commit is processed again, without the record.
            _poison.Add(error.Record);
            RestoreEngine();
            _poison.ForEach(_engine.TakeOut);
        }
    }

    private void TryProcessNext(long nowMs)
    {
        _engine.SetClock(nowMs);
        var (input, batch, _) = NextBatch();
        if (batch is not null)
        {
            _engine.ProcessBatch(input, batch.Bytes);
            return;
        }

        var position = _engine.File!;
        if (position.Line == _lines.Count)
        {
            _engine.EndOfFile();
            return;
        }

        var line = Encoding.UTF8.GetBytes(_lines[(int)position.Line]);
        _engine.ProcessLine(line, position with { Offset = position.Offset + line.Length + 1, Line = position.Line + 1 });
    }

    public void AdvanceTime(long nowMs)
    {
        for (var input = 0; input < _plan.SubTopology.Sources.Length; input++)
        {
            if (BatchOf(input) is null)
            {
                _engine.MarkSilent(input, nowMs);
            }
            else
            {
                _engine.MarkActive(input);
            }
        }

        _engine.AdvanceTime(nowMs);
    }

    /// <summary>Commits and delivers; false when there was nothing to commit.</summary>
    public bool Commit()
    {
        if (!_engine.HasChanges)
        {
            return false;
        }

        _topics.Deliver(Append().Outbox);
        return true;
    }

    public void Crash(TestCrash crash)
    {
        if (crash == TestCrash.BeforeCommit || !_engine.HasChanges)
        {
            return;
        }

        var outbox = Append().Outbox;
        var delivered = crash switch
        {
            TestCrash.BeforeDelivery => 0,
            TestCrash.DuringDelivery => outbox.Count / 2,
            _ => outbox.Count,
        };
        _topics.Deliver(outbox.Take(delivered));
    }

    public void Restore()
    {
        _poison.Clear();
        RestoreEngine();
    }

    private void RestoreEngine()
    {
        _engine = new TaskEngine(_plan);
        foreach (var (entry, _) in _journal)
        {
            _engine.Restore(entry);
        }

        _topics.Deliver(_engine.Undelivered);
    }

    private TaskCommit Append()
    {
        var commit = _engine.Drain();
        _poison.RemoveAll(_engine.IsPast);
        _journal.Add((commit.Entry.Span.ToArray(), commit.BeginsSnapshot));
        if (commit.EndsSnapshot)
        {
            _journal.RemoveRange(0, _journal.FindLastIndex(entry => entry.BeginsSnapshot));
        }

        return commit;
    }

    private (int Input, TestBatch? Batch, long Sequence) NextBatch()
    {
        var next = (Input: -1, Batch: (TestBatch?)null, Sequence: long.MaxValue);
        if (_plan.SubTopology.File is not null)
        {
            // A file is read before topics: nothing waits for the line of a file that is not there yet.
            var isDue = !_engine.IsCompleted && (_engine.File!.Line < _lines.Count || _isFileClosed);
            return isDue ? (-1, null, -1) : next;
        }

        for (var input = 0; input < _plan.SubTopology.Sources.Length; input++)
        {
            if (BatchOf(input) is { } batch && batch.Sequence < next.Sequence && !_engine.IsInputAhead(input))
            {
                next = (input, batch, batch.Sequence);
            }
        }

        return next;
    }

    /// <summary>What an input is to read next, or null.</summary>
    private TestBatch? BatchOf(int input) =>
        _engine.IsInputEnded(input) ? null : _topics.Get(_plan.PartitionOf(input).Topic).BatchAt(_plan.Partition, _engine.PositionOf(input));
}
