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

/// <summary>What a task engine is made of.</summary>
internal sealed record TaskPlan
{
    public required string Application { get; init; }

    public required SubTopology SubTopology { get; init; }

    public required int Partition { get; init; }

    /// <summary>The topics of <see cref="SubTopology.OutputTopics"/>, in that order, and then those of <see cref="SubTopology.DeadLetterTopics"/>.</summary>
    public required IReadOnlyList<OutputTopic> Outputs { get; init; }

    /// <summary>Per input, the tasks of this application that write its topic. All of them have to say that it has ended; without any it never ends, because of
    /// what others write to it nobody knows when it is all.</summary>
    public required IReadOnlyList<IReadOnlyCollection<string>> Writers { get; init; }

    /// <summary>Per input, the topic that is read; empty when topics are called as the topology calls them.</summary>
    public IReadOnlyList<string> InputTopics { get; init; } = [];

    /// <summary>Per input, whether its watermark comes from the markers of <see cref="Writers"/>; empty when none does.</summary>
    public IReadOnlyList<bool> ByMarkers { get; init; } = [];

    /// <summary>Per input that copies a global table, the tasks that write the copy with the partition of the table's topic that each reads.</summary>
    public IReadOnlyDictionary<int, IReadOnlyList<TableWriterTask>> TableWriters { get; init; } = new Dictionary<int, IReadOnlyList<TableWriterTask>>();

    /// <summary>What results are worth after a crash.</summary>
    public ProcessingGuarantee Guarantee { get; init; }

    /// <summary>The topics that follow from what this sub-topology writes, as the topology calls them: none of its own inputs waits for those among its inputs.</summary>
    public IReadOnlySet<string> FedTopics { get; init; } = new HashSet<string>();

    /// <summary>Per input, where a new task begins to read, or -1 for the earliest record; empty when all do that.</summary>
    public IReadOnlyList<long> StartOffsets { get; init; } = [];

    /// <summary>Per input, the first offset that does not belong to it any more; empty when none has an end.</summary>
    public IReadOnlyList<long> EndOffsets { get; init; } = [];

    /// <summary>Journal bytes after which a snapshot is begun, at least.</summary>
    public long SnapshotBytesMin { get; init; } = 8L * 1024 * 1024;

    /// <summary>The partition that an input reads.</summary>
    public TopicPartition PartitionOf(int input) => new(InputTopics.Count == 0 ? SubTopology.Sources[input].Topic : InputTopics[input], Partition);

    /// <summary>The first offset that does not belong to an input any more; long.MaxValue without an end.</summary>
    public long EndOffsetOf(int input) => input < EndOffsets.Count ? EndOffsets[input] : long.MaxValue;

    /// <summary>Whether an input is a table that others write: it is read from its first record wherever the streams begin, else rows would be missing that were written before.</summary>
    public bool IsWholeTable(int input) => SubTopology.IsTable(input) && Writers[input].Count == 0;

    public string TaskId => string.Create(CultureInfo.InvariantCulture, $"{SubTopology.Id}_{Partition}");

    /// <summary>How the task calls itself towards others.</summary>
    public string Name => NameOf(Application, TaskId);

    public static string NameOf(string application, string taskId) => $"{application}/{taskId}";
}

/// <summary>
/// One task, without any input or output: takes batches, gives commits. A pure function of its inputs: the same batches, cut and interleaved in whatever
/// way and replayed after whatever crash, give the same results (see <see cref="WindowProcessor{TKey, TValue, TAggregate}"/> for windows). After
/// an exception the engine is in no defined state; make a new one from the journal.
/// </summary>
internal sealed partial class TaskEngine
{
    // Keys that are brought into order in one turn: some milliseconds.
    internal const int OrderSlots = 4096;

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

    /// <summary>Tells the wall clock, for what processing times and ingestion times are taken from it. It never goes back, whatever is told.</summary>
    public void SetClock(long nowMs) => _context.ClockMs = Math.Max(_context.ClockMs, nowMs);

    /// <summary>Records of an input have come and wait to be processed.</summary>
    public void MarkActive(int input) => _watermarks.MarkActive(input);

    /// <summary>Records of an input that was idle have come: they are waited for until <see cref="Release"/>.</summary>
    public void Await(int input) => _watermarks.Await(input);

    /// <summary>What was waited for is processed.</summary>
    public void Release(int input) => _watermarks.Release(input);

    /// <summary>Whether an input steps aside.</summary>
    public bool IsInputIdle(int input) => _watermarks.IsIdle(input);

    /// <summary>
    /// Takes every input for active again, and what it has for not known, when nobody looked for a while: how long says nothing of what waits to be read. Who reads what this task
    /// writes is told so by the next commit.
    /// </summary>
    public void AwaitAll()
    {
        for (var input = 0; input < _sources.Length; input++)
        {
            _watermarks.MarkActive(input);
            _watermarks.Await(input);
        }

        _hasChanges |= _outputWatermarks.IsIdlenessNews;
    }

    /// <summary>An input was read to its end: from here on it is silent.</summary>
    public void MarkSilent(int input, long nowMs) => _watermarks.MarkSilent(input, nowMs);

    /// <summary>The wall clock, ms since the Unix epoch, at which a step wants to be called by <see cref="AdvanceTime"/>; long.MaxValue when none does.</summary>
    public long NextWallClockDue => _timers.NextWallClockDue;

    /// <summary>Lets silent inputs step aside, watermarks follow the clock where they do, and steps that wait for the wall clock run.</summary>
    /// <exception cref="StreamsException">InvalidInput when user code failed on a window that closes or in a punctuator; SerializationFailed, RecordTooLarge.</exception>
    public void AdvanceTime(long nowMs)
    {
        SetClock(nowMs);
        Start();
        if (_watermarks.HasIdleness)
        {
            var hasRisen = _watermarks.Advance(nowMs);
            _hasChanges |= hasRisen || _outputWatermarks.IsIdlenessNews;
            if (hasRisen)
            {
                Guarded("windows that closed because an input is idle", RaiseWatermark);
            }
        }

        if (_hasGenerators)
        {
            Guarded("watermarks that follow the clock", FollowClock);
        }

        if (_timers.NextWallClockDue <= _context.ClockMs)
        {
            _hasChanges = true;
            Guarded("punctuation by the wall clock", () => _timers.AdvanceWallClock(_context.ClockMs));
        }
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

    /// <summary>Reads a store as it is now.</summary>
    /// <exception cref="StreamsException">StoreNotFound; InvalidRequest for a wrong continuation.</exception>
    public (List<StateEntry> Entries, ReadOnlyMemory<byte> Continuation) Query(StateQuery query)
    {
        var entries = new List<StateEntry>();
        var after = query.Continuation.IsEmpty ? default(StorePosition?) : StorePosition.Read(query.Continuation.Span);
        Store(query.Store).Query(query.Key.Span, Math.Max(query.FromMs, after?.Start ?? long.MinValue), query.ToMs, query.Limit + 1, entries, after?.End ?? long.MinValue);
        if (entries.Count <= query.Limit)
        {
            return (entries, default);
        }

        entries.RemoveAt(query.Limit);
        return (entries, new StorePosition([], entries[^1].WindowStartMs, entries[^1].WindowEndMs).ToBytes());
    }

    /// <summary>Brings the order of a store's keys on by some of them; a scan needs it whole.</summary>
    /// <returns>Whether it is.</returns>
    /// <exception cref="StreamsException">StoreNotFound; InvalidRequest for a store that has no ranges.</exception>
    public bool Order(string store) => Served(store).Order(OrderSlots);

    /// <summary>Forgets the order of a store's keys.</summary>
    public void DropOrder(string store) => Served(store).DropOrder();

    /// <summary>Reads a page of a store as it is now; null when the order of its keys is not whole.</summary>
    /// <exception cref="StreamsException">StoreNotFound; InvalidRequest for a store that has no ranges, or a wrong continuation.</exception>
    public (List<StoreRow> Rows, ReadOnlyMemory<byte> Continuation)? Scan(StoreScan scan)
    {
        var page = new StorePage(scan);
        var store = Served(scan.Store);
        if (!store.Order(0))
        {
            return null;
        }

        store.Scan(page);
        return page.Take();
    }

    private IServedStore Served(string store) =>
        Store(store) as IServedStore ?? throw new StreamsException(StreamsErrorCode.InvalidRequest, $"Store '{store}' is read by key only: give a key.");

    /// <summary>The name of the serde of a store's keys; null when it is not known.</summary>
    public string? KeySerdeOf(string store) => (Store(store) as IServedStore)?.KeySerde;

    /// <summary>The name of the serde of a store's values.</summary>
    /// <exception cref="StreamsException">StoreNotFound.</exception>
    public string ValueSerdeOf(string store) => Store(store).ValueSerde;

    /// <summary>The changes of stores that somebody follows.</summary>
    internal ChangeFeeds Feeds { get; } = new();

    internal TaskPlan Plan => _plan;

    internal TaskState State => _state;

    internal Outbox Outbox => _outbox;

    internal TaskContext Context => _context;

    internal IStateStore[] Stores => _stores;

    internal TopicSource[] Sources => _sources;

    internal UpstreamWatermarks[] Upstreams => _upstreams;

    internal OutputWatermarks OutputWatermarks => _outputWatermarks;

    /// <summary>A store by its name.</summary>
    /// <exception cref="StreamsException">StoreNotFound.</exception>
    internal IStateStore Store(string name) => _stores.FirstOrDefault(candidate => candidate.Name == name)
        ?? throw new StreamsException(StreamsErrorCode.StoreNotFound, $"The application '{_plan.Application}' has no store '{name}': see the stores in its topology.");

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

/// <summary>A task that copies a global table's changes to those who join it.</summary>
/// <param name="Task">Its name.</param>
/// <param name="Source">The partition of the table's topic that it reads.</param>
internal sealed record TableWriterTask(string Task, TopicPartition Source);

/// <summary>What a task has done, as of one moment.</summary>
internal sealed record TaskProgress(
    long Watermark, long RecordsIn, long RecordsOut, long LateRecords, long Commits, long StateEntries, FilePosition? File, bool IsCompleted, long[] Positions)
{
    public long SkippedRecords { get; init; }

    public long DeadLetters { get; init; }

    public string? LastTakenOut { get; init; }

    public long NewestEventTime { get; init; } = long.MinValue;

    public long StateBytes { get; init; }
}

/// <summary>A commit to be made durable.</summary>
/// <param name="Entry">The journal entry, in the engine's own buffer: valid until the next commit is made.</param>
/// <param name="Outbox">To be delivered when the entry is durable.</param>
/// <param name="BeginsSnapshot">A restore can begin with this entry once the snapshot has ended.</param>
/// <param name="EndsSnapshot">The entries before the snapshot's beginning are not needed any more.</param>
internal sealed record TaskCommit(ByteBuffer Entry, IReadOnlyList<OutboxItem> Outbox, bool BeginsSnapshot, bool EndsSnapshot)
{
    /// <summary>Dead letters that their topic would not take. Their records count as skipped, and not as dead letters.</summary>
    public int DroppedLetters { get; init; }

    /// <summary>Why the last of them was dropped.</summary>
    public string? LastDroppedLetter { get; init; }
}

/// <summary>The engine's state besides stores, watermarks and sequences.</summary>
internal sealed class TaskState(int inputs)
{
    public long[] Positions { get; } = new long[inputs];

    /// <summary>Per input the offset behind what may be processed once this is durable, and is never read again then: for who processes at most once. 0 without a claim.</summary>
    public long[] Claims { get; } = new long[inputs];

    public FilePosition? File { get; set; }

    public long DeadLetters { get; set; }

    public long RecordsIn { get; set; }

    public long Commit { get; set; }
}
