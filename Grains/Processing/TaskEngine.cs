using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using OrleansStreams.Log;
using OrleansStreams.Processing.Journal;
using OrleansStreams.Processing.Operators;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Watermarks;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>
/// One task, without any input or output: takes batches, gives commits. A pure function of its inputs: the same batches, cut and interleaved in whatever
/// way and replayed after whatever crash, give the same results (see <see cref="WindowProcessor{TKey, TValue, TAggregate}"/> for windows). After
/// an exception the engine is in no defined state; make a new one from the journal.
/// </summary>
internal sealed partial class TaskEngine
{
    // Keys that are brought into order in one turn: some milliseconds.
    internal const int OrderSlots = 2048;

    private readonly TaskPlan _plan;
    private readonly TaskContext _context;
    private readonly Outbox _outbox;
    private readonly WatermarkTracker _watermarks;
    private readonly TopicSource[] _sources;
    private readonly FileSource? _file;
    private readonly TaskTimers _timers;
    private readonly IStateStore[] _stores;
    private readonly TaskGraph _graph;
    private readonly TaskSnapshots _snapshots;
    private readonly ByteBuffer _entry = new(EntryBatch.Headroom);
    private readonly TaskState _state;
    private readonly UpstreamWatermarks[] _upstreams;
    private readonly OutputWatermarks _outputWatermarks;
    private readonly bool _hasGenerators;
    private bool _hasChanges;
    private bool _isStarted;

    public TaskEngine(TaskPlan plan)
    {
        _plan = plan;
        _watermarks = new WatermarkTracker(InputsOf(plan));
        _outbox = new Outbox(plan.Outputs, plan.Partition);
        _context = new TaskContext(plan, _watermarks, _outbox);
        _graph = new TaskGraph(plan.SubTopology, _context);
        _upstreams = [.. plan.Writers.Select(writers => new UpstreamWatermarks(writers))];
        _outputWatermarks = new OutputWatermarks(plan, _watermarks);
        _sources = _graph.Sources;
        _file = _graph.File;
        _timers = new TaskTimers(_context, _graph.EventTimeSteps, _graph.WallClockSteps);
        _stores = _graph.Stores;
        _snapshots = new TaskSnapshots(_stores, plan.SnapshotBytesMin);
        _state = new TaskState(_sources.Length);
        _open = new OpenBatch?[_sources.Length];
        _hasGenerators = Array.Exists(_sources, source => source.HasGenerator);
    }

    /// <summary>Whether there is something to commit.</summary>
    public bool HasChanges => _hasChanges;

    /// <summary>Whether the next commit tells that the task is idle, or no longer.</summary>
    public bool HasIdlenessNews => _outputWatermarks.IsIdlenessNews;

    /// <summary>A rough size of the next commit.</summary>
    public long PendingBytes => _outbox.PendingBytes + _stores.Sum(store => store.PendingBytes);

    /// <summary>A rough size of the memory that its stores hold.</summary>
    public long StateBytes => _stores.Sum(store => store.Bytes);

    /// <summary>Whether every input has ended.</summary>
    public bool IsCompleted => _watermarks.IsAtEnd;

    /// <summary>Whether <see cref="AdvanceTime"/> must be called from time to time for watermarks to rise, also when nothing comes.</summary>
    public bool FollowsClock => _hasGenerators;

    /// <summary>What the last restored entry wanted delivered.</summary>
    public IReadOnlyList<OutboxItem> Undelivered { get; private set; } = [];

    /// <summary>Whether nothing was restored: the task is new, and <see cref="Begin"/> must be called.</summary>
    public bool IsNew => _outbox.ProducerId < 0;

    public WatermarkTracker Watermarks => _watermarks;

    public FilePosition? File => _state.File;

    public long PositionOf(int input) => _state.Positions[input];

    public bool IsInputEnded(int input) => _watermarks.IsEnded(input);

    /// <summary>Whether an input is so far ahead of the others that it should not be read now.</summary>
    public bool IsInputAhead(int input) => _watermarks.IsAhead(input);

    public TaskProgress Progress => new(
        _watermarks.Watermark, _state.RecordsIn, _outbox.Records, _context.LateRecords, _state.Commit, _stores.Sum(store => store.Entries), _state.File, IsCompleted, [.. _state.Positions])
    {
        SkippedRecords = _context.SkippedRecords,
        DeadLetters = _state.DeadLetters,
        LastTakenOut = LastTakenOut,
        NewestEventTime = _watermarks.MaxEventTime,
        StateBytes = StateBytes,
    };

    /// <summary>Begins a new task. The first commit makes the producer id durable, before anything is sent under it.</summary>
    public void Begin(long producerId, IReadOnlyList<long> positions, FilePosition? file)
    {
        _outbox.ProducerId = producerId;
        for (var input = 0; input < positions.Count; input++)
        {
            _state.Positions[input] = positions[input];
        }

        _state.File = file;
        _hasChanges = true;
    }

    /// <summary>Takes the file as it is now, of which nothing was processed yet.</summary>
    public void BeginFile(FilePosition identity)
    {
        _hasChanges |= _state.File != identity;
        _state.File = identity;
    }

    /// <summary>
    /// Lets processors begin, once nothing more is restored: what they wait for is known from then on. The first batch, line or advance of time does so too.
    /// </summary>
    /// <exception cref="StreamsException">InvalidInput when user code failed; InvalidConfig.</exception>
    public void Start()
    {
        if (!_isStarted)
        {
            _isStarted = true;
            Guarded("beginning of its processors", _graph.Start);
        }
    }

    /// <summary>Says that everything before an offset is taken as processed when the next commit is durable, processed or not.</summary>
    public void Claim(int input, long nextOffset)
    {
        _hasChanges = true;
        _state.Claims[input] = Math.Max(_state.Claims[input], nextOffset);
    }

    /// <summary>Before which offset an input is claimed; 0 without a claim.</summary>
    public long ClaimOf(int input) => _state.Claims[input];

    /// <summary>
    /// Takes the place of an engine of the same run: goes on behind what that one had processed at its last commit. What the journal tells beyond is only claimed and still to be processed.
    /// </summary>
    public void ContinueFrom(IReadOnlyList<long> processed)
    {
        for (var input = 0; input < processed.Count; input++)
        {
            _state.Claims[input] = _state.Positions[input];
            _state.Positions[input] = processed[input];
        }
    }

    /// <summary>Takes back what was claimed and not processed, in an orderly end.</summary>
    public void Unclaim()
    {
        for (var input = 0; input < _state.Claims.Length; input++)
        {
            _hasChanges |= _state.Claims[input] > _state.Positions[input];
            _state.Claims[input] = 0;
        }
    }

    /// <summary>Sends results under a producer id of this run alone, of which the journal knows nothing: for who does not process exactly once.</summary>
    public void SendAs(RunSequences run) => _outbox.SendAs(run);

    /// <summary>What this engine sends under, as of its last commit, for the engine that takes its place in the same run; null for who processes exactly once.</summary>
    public RunSequences? RunSequences => _outbox.RunSequences;

    /// <summary>Processes one whole batch of an input.</summary>
    /// <exception cref="StreamsException">InvalidInput when user code failed; SerializationFailed, InvalidTimestamp, RecordTooLarge, CorruptBatch.</exception>
    /// <exception cref="PoisonRecordException">A record is to be taken out by a new engine.</exception>
    public void ProcessBatch(int input, ReadOnlyMemory<byte> batch)
    {
        var reader = new RecordBatchReader(batch);
        ProcessBatch(input, batch, ref reader, long.MaxValue);
    }

    /// <summary>Processes a batch up to the first record that is later than a time. False when there is one: it is the next of the input then.</summary>
    private bool ProcessBatch(int input, ReadOnlyMemory<byte> batch, ref RecordBatchReader reader, long last)
    {
        Start();
        var header = reader.Header;
        _hasChanges = true;
        _context.Input = input;
        _watermarks.MarkActive(input);
        _outputWatermarks.AppendActive(_outbox);
        if (header.IsControl)
        {
            TakeMarker(input, batch);
            _state.Positions[input] = Math.Max(_state.Positions[input], header.NextOffset);
            EndReached(input);
            return true;
        }

        _context.IngestionMs = header.TimestampType == TimestampType.LogAppendTime ? header.MaxTimestamp : _context.ClockMs;
        var record = default(RecordView);
        for (var isWhole = false; !isWhole;)
        {
            try
            {
                if (!ProcessRecords(input, ref reader, ref record, last))
                {
                    return false;
                }

                isWhole = true;
            }
            catch (Exception error)
            {
                // When it is taken out, the reader stands behind it.
                OnRecordFailed(input, record, record.IsPresent ? record.Offset : header.BaseOffset, error);
            }
        }

        _state.Positions[input] = Math.Max(_state.Positions[input], Math.Min(header.NextOffset, _plan.EndOffsetOf(input)));
        EndReached(input);
        return true;
    }

    private bool ProcessRecords(int input, ref RecordBatchReader reader, ref RecordView record, long last)
    {
        var source = _sources[input];
        var position = _state.Positions[input];
        var end = _plan.EndOffsetOf(input);
        var hasGenerator = source.HasGenerator;
        var isAhead = source.HasLargeStores ? 0 : int.MaxValue;
        var marked = NextMarked(input, position);
        var isByTime = last != long.MaxValue;
        while (true)
        {
            if (isByTime && IsLater(input, reader, last))
            {
                return false;
            }

            if (isAhead-- == 0)
            {
                source.LookAhead(reader);
                isAhead = TopicSource.LookAheadRecords - 1;
            }

            if (!reader.TryRead(out record))
            {
                return true;
            }

            var offset = record.Offset;
            if (offset < position)
            {
                continue;
            }

            if (offset >= end)
            {
                return true;
            }

            if (offset == marked)
            {
                BuryMarked(input, offset);
                marked = NextMarked(input, offset);
                continue;
            }

            _context.InputWatermark = _watermarks.WatermarkOf(input);
            BeginRecord();
            var eventTime = source.Process(record);
            _context.IsInRecord = false;
            _state.RecordsIn++;
            var hasRisen = _watermarks.Observe(input, eventTime);
            if (hasGenerator ? _watermarks.RaiseInput(input, source.Watermark) : hasRisen)
            {
                RaiseWatermark();
            }
        }
    }

    /// <summary>Ends the inputs whose end offset is reached already: before anything is read, because nothing may ever come.</summary>
    /// <exception cref="StreamsException">InvalidInput when user code failed on a window that closes; SerializationFailed, RecordTooLarge.</exception>
    public void EndReachedInputs()
    {
        for (var input = 0; input < _state.Positions.Length; input++)
        {
            EndReached(input);
        }
    }

    /// <summary>Processes one line of the source file.</summary>
    /// <param name="line">The line without its line break.</param>
    /// <param name="next">Where the next line begins; its line number is that of this line.</param>
    /// <exception cref="StreamsException">InvalidInput, naming file and line; RecordTooLarge.</exception>
    /// <exception cref="PoisonRecordException">The line is to be taken out by a new engine.</exception>
    public void ProcessLine(ReadOnlySpan<byte> line, FilePosition next)
    {
        Start();
        _hasChanges = true;
        if (!line.IsEmpty)
        {
            try
            {
                ProcessText(line, next.Line);
            }
            catch (Exception error)
            {
                OnLineFailed(line, next.Line, error);
            }
        }

        _state.File = next;
    }

    private void ProcessText(ReadOnlySpan<byte> line, long number)
    {
        if (_marked.Count > 0 && _marked.ContainsKey((0, number)))
        {
            BuryMarked(0, number);
            return;
        }

        _context.InputWatermark = _watermarks.Watermark;
        BeginRecord();
        var eventTime = _file!.Process(line, number);
        _context.IsInRecord = false;
        _state.RecordsIn++;
        if (_watermarks.Observe(0, eventTime))
        {
            RaiseWatermark();
        }
    }

    /// <summary>The source file came to its end: every partition of the topics that this task writes is told, once, through the outbox.</summary>
    public void EndOfFile()
    {
        Start();
        _hasChanges = true;
        _watermarks.EndInput(0);
        Guarded("windows that closed at the end of the file", RaiseWatermark);
    }

    /// <summary>Makes the commit of everything since the last one. The caller appends its entry to the journal as one batch, then delivers its outbox.</summary>
    /// <exception cref="StreamsException">InvalidInput when a serde of the application failed; SerializationFailed, RecordTooLarge.</exception>
    public TaskCommit Drain()
    {
        TaskCommit? commit = null;
        Guarded("state that it has to store", () => commit = DrainCore());
        return commit!;
    }

    private TaskCommit DrainCore()
    {
        _hasChanges = false;
        HasTakenOutMarked = false;
        _state.Commit++;
        _outputWatermarks.AppendNews(_outbox);
        var items = _outbox.Drain();
        _entry.Clear();
        var (begins, ends) = JournalFormat.Write(_entry, this, items, _snapshots);
        foreach (var store in _stores)
        {
            Feeds.Evict(store, _watermarks.MaxEventTime);
        }

        _snapshots.Written(_entry.Length, begins, ends);
        var commit = new TaskCommit(_entry, items, begins, ends) { DroppedLetters = _droppedLetters, LastDroppedLetter = _lastDroppedLetter };
        (_droppedLetters, _lastDroppedLetter) = (0, null);
        return commit;
    }

    /// <summary>Applies a journal entry.</summary>
    /// <exception cref="StreamsException">IncompatibleState, CorruptLog.</exception>
    public void Restore(ReadOnlySpan<byte> entry)
    {
        Undelivered = JournalFormat.Read(entry, this);
        foreach (var store in _stores)
        {
            store.Evict(_watermarks.MaxEventTime);
        }

        _context.Watermark = _watermarks.Watermark;
        _graph.Restored();
        _snapshots.Restored(entry.Length);
    }

    internal TaskPlan Plan => _plan;

    internal TaskState State => _state;

    internal Outbox Outbox => _outbox;

    internal TaskContext Context => _context;

    internal IStateStore[] Stores => _stores;

    internal TopicSource[] Sources => _sources;

    internal UpstreamWatermarks[] Upstreams => _upstreams;

    internal OutputWatermarks OutputWatermarks => _outputWatermarks;

    private void TakeMarker(int input, ReadOnlyMemory<byte> batch)
    {
        if (!WatermarkMarker.TryRead(batch, out var task, out var watermark, out var isIdle) || !_upstreams[input].Take(task, watermark, isIdle))
        {
            return;
        }

        var upstream = _upstreams[input];
        var hasRisen = upstream.IsEnded
            ? _watermarks.EndInput(input)
            : IsByMarkers(_plan, input) && _watermarks.SetUpstream(input, upstream.Watermark, upstream.IsIdle);
        if (hasRisen)
        {
            Guarded(upstream.IsEnded ? "windows that closed at the end of the input" : "windows that closed by a watermark from upstream", RaiseWatermark);
        }
    }

    private void EndReached(int input)
    {
        if (_state.Positions[input] < _plan.EndOffsetOf(input) || _watermarks.IsEnded(input))
        {
            return;
        }

        _hasChanges = true;
        if (_watermarks.EndInput(input))
        {
            Guarded("windows that closed at the end of the input", RaiseWatermark);
        }
    }

    private void FollowClock()
    {
        var hasRisen = false;
        for (var input = 0; input < _sources.Length; input++)
        {
            if (_sources[input].HasGenerator)
            {
                _sources[input].OnPeriodic(_context.ClockMs);
                hasRisen |= _watermarks.RaiseInput(input, _sources[input].Watermark);
            }
        }

        if (hasRisen)
        {
            // What nobody would see is no reason for a commit: the clock does not stand still.
            _hasChanges |= _outputWatermarks.CarriesWatermarks || _timers.NextDue <= _watermarks.Watermark;
            RaiseWatermark();
        }
    }

    private static TrackedInput[] InputsOf(TaskPlan plan) => plan.SubTopology.File is { } file
        ? [new TrackedInput(file.Watermarks, file.Watermarks is null ? WatermarkOrigin.Generator : WatermarkOrigin.EventTimes)]
        : [.. plan.SubTopology.Sources.Select((source, input) => new TrackedInput(source.Watermarks, OriginOf(plan, source, input), plan.FedTopics.Contains(source.Topic), plan.SubTopology.IsOnlyLookedUp(source)))];

    private static WatermarkOrigin OriginOf(TaskPlan plan, TopicSourceNode source, int input) =>
        IsByMarkers(plan, input) ? WatermarkOrigin.Markers : source.HasOwnWatermarks ? WatermarkOrigin.Generator : WatermarkOrigin.EventTimes;

    private static bool IsByMarkers(TaskPlan plan, int input) => input < plan.ByMarkers.Count && plan.ByMarkers[input];

    private void Guarded(string what, Action action)
    {
        try
        {
            action();
        }
        catch (Exception error)
        {
            ThrowFailed(what, error);
        }
    }

    private void RaiseWatermark() => _timers.RaiseWatermark(_watermarks.Watermark);

    [DoesNotReturn]
    private void ThrowFailed(string what, Exception error, string hint = "")
    {
        var code = error is StreamsException streams ? streams.Code : StreamsErrorCode.InvalidInput;
        var type = error is StreamsException ? string.Empty : error.GetType().Name + ": ";
        throw new StreamsException(
            code,
            $"Application '{_plan.Application}', task {_plan.TaskId}, failed on the {what}: {type}{error.Message} Nothing after it was processed; correct the data or the application's code, then start it again.{hint}",
            WriteOutcome.NotWritten,
            error);
    }
}
