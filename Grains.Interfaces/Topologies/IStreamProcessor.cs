using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>
/// A step of one's own: it takes records one by one, keeps state in declared stores, forwards any number of records, now or when a punctuator is due. Each task has an instance of its
/// own, which is called for one record or punctuator at a time. Whatever it is to know after a crash must stand in its stores: a task that restarts makes a new instance, whose stores are
/// as of the last commit, and processes again what came after it. What it does elsewhere (files, calls) is then done again.
/// </summary>
/// <typeparam name="TKey">Of the records that it takes.</typeparam>
/// <typeparam name="TValue">Of the records that it takes.</typeparam>
/// <typeparam name="TNewKey">Of the records that it forwards.</typeparam>
/// <typeparam name="TNewValue">Of the records that it forwards.</typeparam>
public interface IStreamProcessor<TKey, TValue, TNewKey, TNewValue>
{
    /// <summary>
    /// Called once, before the first record and after the stores were restored: get stores and schedule punctuators here. Nothing can be forwarded yet. An exception stops the task.
    /// </summary>
    void Init(IProcessorContext<TNewKey, TNewValue> context);

    /// <summary>Takes a record. An exception stops the task with InvalidInput, naming the record, and nothing of what was done for the record is committed.</summary>
    void Process(ProcessorRecord<TKey, TValue> record);
}

/// <summary>A record that a processor takes or forwards.</summary>
/// <param name="Key">Its key; the type's default for null.</param>
/// <param name="Value">Its value; the type's default for null.</param>
/// <param name="TimestampMs">Its event time, ms since the Unix epoch.</param>
public readonly record struct ProcessorRecord<TKey, TValue>(TKey Key, TValue Value, long TimestampMs)
{
    /// <summary>Its headers. Those of a record that was taken are good until Process returns.</summary>
    public IReadOnlyList<RecordHeader> Headers
    {
        get => HeadersOrNull ?? [];
        init => HeadersOrNull = value;
    }

    internal IReadOnlyList<RecordHeader>? HeadersOrNull { get; init; }

    /// <summary>The same record with another key.</summary>
    public ProcessorRecord<TNewKey, TValue> WithKey<TNewKey>(TNewKey key) => new(key, Value, TimestampMs) { HeadersOrNull = HeadersOrNull };

    /// <summary>The same record with another value.</summary>
    public ProcessorRecord<TKey, TNewValue> WithValue<TNewValue>(TNewValue value) => new(Key, value, TimestampMs) { HeadersOrNull = HeadersOrNull };

    /// <summary>The same record with another key and value.</summary>
    public ProcessorRecord<TNewKey, TNewValue> With<TNewKey, TNewValue>(TNewKey key, TNewValue value) => new(key, value, TimestampMs) { HeadersOrNull = HeadersOrNull };
}

/// <summary>What a processor knows of its task, and its stores and punctuators.</summary>
public interface IProcessorContext
{
    /// <summary>The application's name.</summary>
    string Application { get; }

    /// <summary>The task: sub-topology "_" partition.</summary>
    string TaskId { get; }

    /// <summary>The partition that the task reads of its topics.</summary>
    int Partition { get; }

    /// <summary>Where the record that is being processed comes from; null in punctuators, for lines of a file, and for what windows and other steps before emit by their own timers.</summary>
    SourceRecord? Source { get; }

    /// <summary>
    /// The task's event-time watermark, less what steps before this one hold back, ms since the Unix epoch: nothing at or before it is expected any more but late records. long.MinValue before the
    /// first event; long.MaxValue after the end of input.
    /// </summary>
    long EventTimeWatermarkMs { get; }

    /// <summary>The stream time: the largest event time that the task has seen on any input, this record's included, ms since the Unix epoch; long.MinValue before the first event.</summary>
    long StreamTimeMs { get; }

    /// <summary>The wall clock as the engine knows it, ms since the Unix epoch; it never goes back. What depends on it comes out otherwise when a record is processed again after a crash.</summary>
    long WallClockMs { get; }

    /// <summary>A store that was declared for this processor.</summary>
    /// <exception cref="StreamsException">InvalidConfig when it was not declared.</exception>
    IKeyValueState<TStoreKey, TStoreValue> GetStore<TStoreKey, TStoreValue>(KeyValueStoreDefinition<TStoreKey, TStoreValue> definition);

    /// <summary>A store that was declared for this processor.</summary>
    /// <exception cref="StreamsException">InvalidConfig when it was not declared.</exception>
    ITimedState<TStoreKey, TStoreValue> GetStore<TStoreKey, TStoreValue>(TimedStoreDefinition<TStoreKey, TStoreValue> definition);

    /// <summary>
    /// Lets a function be called again and again; in <see cref="IStreamProcessor{TKey, TValue, TNewKey, TNewValue}.Init"/> only, because what was scheduled later a crash would forget. When
    /// it is due next is kept with the task's state, so that a restart neither forgets nor repeats a call whose effects are committed. Punctuators are told apart by the order in which they
    /// are scheduled, which must be the same at each start. If several are due at once, they are called in that order.
    /// </summary>
    /// <param name="interval">1 ms to 1000 years.</param>
    /// <param name="type">By which time; how each type counts is said there.</param>
    /// <param name="callback">Gets the time at which it was due (event time) or the time that it is (wall clock), ms since the Unix epoch. An exception stops the task.</param>
    /// <exception cref="StreamsException">InvalidConfig for another interval; InvalidRequest outside Init.</exception>
    IPunctuator Schedule(TimeSpan interval, PunctuationType type, Action<long> callback);
}

/// <summary>What a processor knows of its task, and whom it forwards to.</summary>
public interface IProcessorContext<TNewKey, TNewValue> : IProcessorContext
{
    /// <summary>Forwards a record to everything that follows, in the order in which it was described.</summary>
    /// <exception cref="StreamsException">InvalidRequest outside Process and punctuators; InvalidTimestamp for an event time that is none; InvalidInput when the processor was declared to keep keys
    /// and this is another key than the one of the record that is being processed.</exception>
    void Forward(ProcessorRecord<TNewKey, TNewValue> record);

    /// <summary>Forwards a record to one child alone (<see cref="KStream{TKey, TValue}.Child"/>).</summary>
    /// <exception cref="StreamsException">As for all children; InvalidInput when there is no such child.</exception>
    void Forward(ProcessorRecord<TNewKey, TNewValue> record, string child);
}

/// <summary>A record in a topic.</summary>
/// <param name="Partition">The topic, as it is called in the log, and the partition.</param>
/// <param name="Offset">The offset.</param>
public readonly record struct SourceRecord(TopicPartition Partition, long Offset);

/// <summary>By which time a punctuator is called.</summary>
public enum PunctuationType
{
    /// <summary>
    /// By the task's watermark, at the multiples of the interval since the Unix epoch. It is called when the watermark passes a multiple, before anything that is due later: the first watermark counts
    /// as having passed those before it. After a jump over several of them it is called once, for the last, as in Kafka Streams. At the end of the input it is called once more, for
    /// the first multiple behind all events; and again if steps before it still emit something after that.
    /// </summary>
    EventTime,

    /// <summary>
    /// By the wall clock: first an interval after the task began for the first time, then at every interval from then on. Called once after several have passed, as after a restart.
    /// </summary>
    WallClock,
}

/// <summary>A function that is called again and again.</summary>
public interface IPunctuator
{
    /// <summary>Ends the calls for good, also after a restart.</summary>
    void Cancel();
}
