using System.Runtime.CompilerServices;
using OrleansStreams.Processing.Operators;
using OrleansStreams.Processing.State;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Processors;

/// <summary>Whom a processor forwards to.</summary>
/// <param name="All">Everything that follows.</param>
/// <param name="Children">Those with names.</param>
internal sealed record ForwardTargets<TKey, TValue>(Emitter<TKey, TValue> All, Dictionary<string, Emitter<TKey, TValue>> Children);

/// <summary>
/// Runs a processor of the user's, and is what it knows of the task. It is made when the task's state has been restored: then its stores are there and its punctuators are found again.
/// </summary>
internal sealed class UserProcessor<TKey, TValue, TNewKey, TNewValue>(
    ProcessorNode<TKey, TValue, TNewKey, TNewValue> node,
    TaskContext context,
    StepClock clock,
    ProcessorClock time,
    Func<StoreDefinition, object> stateOf,
    KeyValueStore<int, long> times,
    ForwardTargets<TNewKey, TNewValue> targets) : Processor<TKey, TValue>, IProcessorContext<TNewKey, TNewValue>, IStartedStep
{
    private readonly ByteBuffer _key = new();
    private readonly bool _checksKey = node.IsKeyKept && typeof(TKey) == typeof(TNewKey);
    private IStreamProcessor<TKey, TValue, TNewKey, TNewValue>? _processor;
    private int _punctuators;
    private bool _isBeginning;
    private HeldRecord _raw;
    private IReadOnlyList<RecordHeader>? _headers;
    private TKey? _currentKey;
    private bool _hasRecord;
    private int _input;

    public EventTimePunctuators EventTimers { get; } = new(node.Name, clock, times);

    public WallClockPunctuators WallClockTimers { get; } = new(node.Name, context, times);

    public string Application => context.Plan.Application;

    public string TaskId => context.Plan.TaskId;

    public int Partition => context.Plan.Partition;

    public SourceRecord? Source => _raw.IsPresent ? new SourceRecord(context.Plan.PartitionOf(_input), _raw.Offset) : null;

    public long EventTimeWatermarkMs => clock.Watermark;

    public long StreamTimeMs => Math.Max(context.Watermarks.MaxEventTime, time.RecordMs ?? long.MinValue);

    public long WallClockMs => context.ClockMs;

    public void Start()
    {
        _processor = node.Create();
        _isBeginning = true;
        _processor.Init(this);
        _isBeginning = false;
    }

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        if (clock.IsEnding)
        {
            EventTimers.CallOnceMore();
        }

        var outer = time.RecordMs;
        time.RecordMs = timestamp;
        _raw = raw.IsPresent ? raw.Hold() : default;
        _headers = context.Headers is { } set ? (set.Length == 0 ? null : set) : raw.GetLazyHeaders();
        _currentKey = key;
        _hasRecord = true;
        _input = context.Input;
        try
        {
            _processor!.Process(new ProcessorRecord<TKey, TValue>(key, value, timestamp) { HeadersOrNull = _headers });
        }
        finally
        {
            _hasRecord = false;
            _currentKey = default;
            _headers = null;
            _raw = default;
            time.RecordMs = outer;
        }
    }

    public IKeyValueState<TStoreKey, TStoreValue> GetStore<TStoreKey, TStoreValue>(KeyValueStoreDefinition<TStoreKey, TStoreValue> definition) =>
        (IKeyValueState<TStoreKey, TStoreValue>)StateOf(definition);

    public ITimedState<TStoreKey, TStoreValue> GetStore<TStoreKey, TStoreValue>(TimedStoreDefinition<TStoreKey, TStoreValue> definition) =>
        (ITimedState<TStoreKey, TStoreValue>)StateOf(definition);

    public IPunctuator Schedule(TimeSpan interval, PunctuationType type, Action<long> callback)
    {
        ArgumentNullException.ThrowIfNull(callback);
        var intervalMs = EventTimes.Milliseconds(interval, 1, $"The interval of a punctuator of the processor '{node.Name}'");
        if (!_isBeginning)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidRequest, $"The processor '{node.Name}' schedules a punctuator outside Init, which a crash would forget: schedule it in Init, and let it look into a store whether there is something to do.");
        }

        var number = _punctuators++;
        return type switch
        {
            PunctuationType.EventTime => EventTimers.Add(number, intervalMs, callback),
            PunctuationType.WallClock => WallClockTimers.Add(number, intervalMs, callback),
            _ => throw new ArgumentOutOfRangeException(nameof(type), type, "no type of punctuation"),
        };
    }

    public void Forward(ProcessorRecord<TNewKey, TNewValue> record) => Forward(targets.All, record);

    public void Forward(ProcessorRecord<TNewKey, TNewValue> record, string child)
    {
        ArgumentNullException.ThrowIfNull(child);
        if (!targets.Children.TryGetValue(child, out var target))
        {
            var children = targets.Children.Keys.Order(StringComparer.Ordinal).ToArray();
            throw new StreamsException(
                StreamsErrorCode.InvalidInput,
                $"The processor '{node.Name}' forwards to a child '{child}', which it does not have (it has {(children.Length == 0 ? "none with a name" : string.Join(", ", children))}): hang it on with .Child(\"{child}\").");
        }

        Forward(target, record);
    }

    private void Forward(Emitter<TNewKey, TNewValue> target, in ProcessorRecord<TNewKey, TNewValue> record)
    {
        if (_isBeginning)
        {
            throw new StreamsException(StreamsErrorCode.InvalidRequest, $"The processor '{node.Name}' forwards a record in Init: forward in Process and in punctuators.");
        }

        if (record.TimestampMs is < -EventTimes.Max or > EventTimes.Max)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidTimestamp, $"The processor '{node.Name}' forwards a record with the event time {record.TimestampMs}, which is no time in ms since the Unix epoch: give it that of the record or of the punctuator.");
        }

        if (_checksKey && _hasRecord)
        {
            CheckKey(record.Key);
        }

        var headers = context.Headers;
        if (!ReferenceEquals(record.HeadersOrNull, _headers))
        {
            context.Headers = [.. record.Headers];
        }

        target.Emit(_raw.View, record.TimestampMs, record.Key, record.Value);
        context.Headers = headers;
    }

    private object StateOf(StoreDefinition definition)
    {
        ArgumentNullException.ThrowIfNull(definition);
        return node.Declared.Contains(definition)
            ? stateOf(definition)
            : throw Topology.Invalid($"The processor '{node.Name}' uses the store '{definition.Name}', which was not declared for it: give its definition to Process with Processed.With(...).");
    }

    /// <summary>What stands behind takes the bytes of the source's key for those of this one.</summary>
    private void CheckKey(TNewKey key)
    {
        var current = Unsafe.As<TKey?, TNewKey?>(ref _currentKey);
        if (EqualityComparer<TNewKey>.Default.Equals(key, current) || (key is not null && HasKeyBytes(key)))
        {
            return;
        }

        throw new StreamsException(
            StreamsErrorCode.InvalidInput,
            $"The processor '{node.Name}' was declared to keep keys, but forwards a record under another key than that of the record it comes from: leave out KeepsKey(), so that what groups by key behind it repartitions.");
    }

    private bool HasKeyBytes(TNewKey key)
    {
        if (node.KeySerde is not { } serde || !_raw.IsPresent)
        {
            return false;
        }

        _key.Clear();
        serde.Serialize(key, _key);
        var raw = _raw.View;
        return !raw.KeyIsNull && raw.Key.SequenceEqual(_key.Span);
    }
}
