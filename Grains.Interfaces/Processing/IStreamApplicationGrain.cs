using System.Collections.Immutable;
using OrleansStreams.Log;

namespace OrleansStreams.Processing;

/// <summary>What an application is doing.</summary>
[GenerateSerializer]
[Alias("streams.application-state")]
public enum StreamApplicationState
{
    /// <summary>Registered in the silo, not started.</summary>
    Stopped,

    /// <summary>Its tasks run, or are being (re)started.</summary>
    Running,

    /// <summary>At least one task failed in a way that a restart does not cure; its error says what to do.</summary>
    Failed,

    /// <summary>All sources are bounded and every task has come to the end.</summary>
    Completed,

    /// <summary>Its tasks are up and answer queries, and read nothing until it is resumed.</summary>
    Paused,
}

/// <summary>One task's state machine: Created -> Restoring -> Running -> (Completed | Failed | Stopped); a Failed task that may recover goes to Restoring again.</summary>
[GenerateSerializer]
[Alias("streams.task-state")]
public enum StreamTaskState
{
    /// <summary>Not started.</summary>
    Created,

    /// <summary>Replays its journal.</summary>
    Restoring,

    /// <summary>Processes.</summary>
    Running,

    /// <summary>Every input came to its end.</summary>
    Completed,

    /// <summary>Failed; see the error.</summary>
    Failed,

    /// <summary>Stopped on request.</summary>
    Stopped,
}

/// <summary>One task as it is.</summary>
/// <param name="TaskId">sub-topology "_" partition, for example <c>1_3</c>.</param>
/// <param name="State">Its state.</param>
/// <param name="EventTimeWatermark">Its event-time watermark in ms since the Unix epoch; long.MinValue before the first event, long.MaxValue after the end of input.</param>
/// <param name="RecordsIn">Records processed since the journal began.</param>
/// <param name="RecordsOut">Records written since the journal began.</param>
/// <param name="LateRecords">Late events counted since the journal began.</param>
/// <param name="Lag">Records between the committed position and the high watermark, or -1 when not known.</param>
/// <param name="Commits">Commits since the journal began.</param>
/// <param name="RecordsPerSecond">Throughput over the last seconds.</param>
/// <param name="StateEntries">Entries in its state stores.</param>
/// <param name="SourceRow">For a file source: rows read; else -1.</param>
/// <param name="SourceBytes">For a file source: bytes read; else -1.</param>
/// <param name="SourceBytesTotal">For a file source: the file's size; else -1.</param>
/// <param name="Error">The last error, or null.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.task-status")]
public sealed record StreamTaskStatus(
    [property: Id(0)] string TaskId, [property: Id(1)] StreamTaskState State, [property: Id(2)] long EventTimeWatermark,
    [property: Id(3)] long RecordsIn, [property: Id(4)] long RecordsOut, [property: Id(5)] long LateRecords, [property: Id(6)] long Lag,
    [property: Id(7)] long Commits, [property: Id(8)] double RecordsPerSecond, [property: Id(9)] long StateEntries,
    [property: Id(10)] long SourceRow, [property: Id(11)] long SourceBytes, [property: Id(12)] long SourceBytesTotal, [property: Id(13)] string? Error)
{
    /// <summary>Whether the error passes, so that the application starts the task again by itself.</summary>
    [Id(14)]
    public bool WillRestart { get; init; }

    /// <summary>Records that were skipped, as their source is configured to, since the journal began; those among them that went to a dead-letter topic, too.</summary>
    [Id(15)]
    public long SkippedRecords { get; init; }

    /// <summary>Records that went to a dead-letter topic since the journal began.</summary>
    [Id(20)]
    public long DeadLetters { get; init; }

    /// <summary>The largest event time processed, ms since the Unix epoch; long.MinValue before the first event.</summary>
    [Id(30)]
    public long NewestEventTime { get; init; } = long.MinValue;

    /// <summary>How far the watermark is behind the wall clock, in ms; 0 after the end of input, -1 before the first event. Old data has a large one however fast it is
    /// processed: compare the watermark with <see cref="NewestEventTime"/> then.</summary>
    [Id(31)]
    public long WatermarkLagMs { get; init; } = -1;

    /// <summary>How long the last commit took from its drain to its durability, in ms; -1 before the first.</summary>
    [Id(32)]
    public double CommitMsLast { get; init; } = -1;

    /// <summary>The median of the last 128 commits, in ms; -1 before the first.</summary>
    [Id(33)]
    public double CommitMsMedian { get; init; } = -1;

    /// <summary>Bytes of memory that its state takes, roughly.</summary>
    [Id(34)]
    public long StateSizeBytes { get; init; }

    /// <summary>Whether it is paused: it answers queries and reads nothing.</summary>
    [Id(35)]
    public bool IsPaused { get; init; }
}

/// <summary>An application as it is.</summary>
/// <param name="Name">Its name.</param>
/// <param name="State">Its state.</param>
/// <param name="Parameters">The parameters it was started with.</param>
/// <param name="Tasks">Its tasks by id.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.application-status")]
public sealed record StreamApplicationStatus(
    [property: Id(0)] string Name, [property: Id(1)] StreamApplicationState State, [property: Id(2)] ImmutableDictionary<string, string> Parameters,
    [property: Id(3)] ImmutableArray<StreamTaskStatus> Tasks);

/// <summary>A query of a windowed or plain store by key.</summary>
/// <param name="Store">The store's name.</param>
/// <param name="Key">The key's bytes, as the store's key serde writes them.</param>
/// <param name="FromMs">The first window start wanted, ms since the Unix epoch (ignored by plain stores).</param>
/// <param name="ToMs">The first window start not wanted.</param>
/// <param name="Limit">Entries to answer at most (1 to 10,000).</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.state-query")]
public sealed record StateQuery(
    [property: Id(0)] string Store, [property: Id(1)] ReadOnlyMemory<byte> Key, [property: Id(2)] long FromMs, [property: Id(3)] long ToMs, [property: Id(4)] int Limit)
{
    /// <summary>How long a query waits for the records that it must reflect unless it says so itself, in ms.</summary>
    public const int WaitMsDefault = 10_000;

    /// <summary>The longest such wait in ms: it stays below the response timeout of grain calls.</summary>
    public const int WaitMsMax = 25_000;

    /// <summary>Records that the answer must reflect: the query waits for a commit that does.</summary>
    [Id(5)]
    public ImmutableArray<InputOffset> AtLeast { get; init; } = [];

    /// <summary>How long to wait for them, in ms (1 to 25,000).</summary>
    [Id(6)]
    public int WaitMs { get; init; } = WaitMsDefault;

    /// <summary>Where the answer before ended (<see cref="StateQueryResult.Continuation"/>); empty for the first one.</summary>
    [Id(7)]
    public ReadOnlyMemory<byte> Continuation { get; init; }
}

/// <summary>One entry of a store.</summary>
/// <param name="WindowStartMs">The window's start, or -1 for a plain store.</param>
/// <param name="WindowEndMs">The window's end (exclusive), or -1.</param>
/// <param name="Value">The aggregate's bytes, as the store's value serde writes them.</param>
/// <param name="IsFinal">Whether the window has closed; the store remembers the last closed windows within its retention.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.state-entry")]
public sealed record StateEntry(
    [property: Id(0)] long WindowStartMs, [property: Id(1)] long WindowEndMs, [property: Id(2)] ReadOnlyMemory<byte> Value, [property: Id(3)] bool IsFinal);

/// <summary>A query's answer: committed state only.</summary>
/// <param name="Entries">The entries by window start.</param>
/// <param name="EventTimeWatermark">The task's watermark at the commit it reflects.</param>
/// <param name="CommitOffset">The journal offset of the commit it reflects.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.state-query-result")]
public sealed record StateQueryResult(
    [property: Id(0)] ImmutableArray<StateEntry> Entries, [property: Id(1)] long EventTimeWatermark, [property: Id(2)] long CommitOffset)
{
    /// <summary>The name of the serde that the entries' values are written with, so that who knows it can show them; null when it is not known.</summary>
    [Id(3)]
    public string? ValueSerde { get; init; }

    /// <summary>The application that answered, which an alias may stand for.</summary>
    [Id(4)]
    public string Application { get; init; } = string.Empty;

    /// <summary>The partition that the key is in.</summary>
    [Id(5)]
    public int Partition { get; init; }

    /// <summary>Give it back for the entries behind these; empty when there are none.</summary>
    [Id(6)]
    public ReadOnlyMemory<byte> Continuation { get; init; }
}

/// <summary>One application: supervises its tasks. The key is the application's name, under which its topology is registered in every silo.</summary>
[Alias("streams.IStreamApplicationGrain")]
public interface IStreamApplicationGrain : IGrainWithStringKey
{
    /// <summary>Starts the application (durably: it starts again with every silo) or does nothing when it runs with the same parameters. A version that is
    /// new gets the topics that it names by its version and that don't exist: made as the ones are that the application itself names there.</summary>
    /// <param name="parameters">Passed to the topology's factory; fixed from the first start on but for <see cref="Topologies.Topology.ChangeableParameters"/>, and none means those of the last start, or,
    /// for a version that is new, those of the application itself.</param>
    /// <exception cref="StreamsException">ApplicationNotFound; InvalidConfig when another version that runs writes the same topics, or reads what this one would write; InvalidRequest when state exists that was made with other parameters; UnknownTopicOrPartition for a missing input topic.</exception>
    [Alias("StartAsync")]
    Task<StreamApplicationStatus> StartAsync(ImmutableDictionary<string, string> parameters);

    /// <summary>Starts the application as <see cref="StartAsync"/> does, from a place in its inputs, or up to one.</summary>
    /// <exception cref="StreamsException">As of <see cref="StartAsync"/>; InvalidRequest for a place when there is state already: reset or drop the application before.</exception>
    [Alias("StartWithAsync")]
    Task<StreamApplicationStatus> StartWithAsync(StreamApplicationStart start);

    /// <summary>Lets the tasks read nothing more (durably: also after restarts). They commit what they have processed, keep their state and answer queries. No timer fires meanwhile.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound, ApplicationNotRunning when it was never started.</exception>
    [Alias("PauseAsync")]
    Task<StreamApplicationStatus> PauseAsync();

    /// <summary>Lets the tasks go on; does nothing when it is not paused.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound, ApplicationNotRunning when it was never started.</exception>
    [Alias("ResumeAsync")]
    Task<StreamApplicationStatus> ResumeAsync();

    /// <summary>
    /// Deletes the state and the internal topics of a stopped application, as Kafka's application reset does; its next start reads its inputs from a place that is taken now. Topics
    /// that it writes and reads itself are read behind what they have now, because it writes them anew. Result topics keep what they have: results come once more. The next start may
    /// bring other parameters and other partition counts.
    /// </summary>
    /// <exception cref="StreamsException">ApplicationNotFound; InvalidRequest when it is not stopped, or reads a file and the place is not the earliest; ApplicationNotRunning when it was never started; StorageError.</exception>
    [Alias("ResetAsync")]
    Task ResetAsync(StreamPosition position);

    /// <summary>Stops the tasks after a last commit (durably: it stays stopped until started again).</summary>
    /// <exception cref="StreamsException">ApplicationNotFound.</exception>
    [Alias("StopAsync")]
    Task StopAsync();

    /// <summary>
    /// Stops the application and deletes what it has made for itself: repartition topics, state, its parameters. Its input and result topics stay. A later start
    /// begins anew. Resumes when called again after a failure midway.
    /// </summary>
    /// <exception cref="StreamsException">ApplicationNotFound, StorageError; InvalidRequest when an alias stands for it.</exception>
    [Alias("DropAsync")]
    Task DropAsync();

    /// <summary>The status, with each task's.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound.</exception>
    [AlwaysInterleave]
    [Alias("GetStatusAsync")]
    Task<StreamApplicationStatus> GetStatusAsync();

    /// <summary>What of the user's topics the application uses, for its other versions.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound.</exception>
    [AlwaysInterleave]
    [Alias("GetUseAsync")]
    Task<ApplicationUse> GetUseAsync();

    /// <summary>Brings the tasks up when the application is meant to run; called at silo start.</summary>
    [Alias("EnsureRunningAsync")]
    Task EnsureRunningAsync();

    /// <summary>Asks the task that holds the key.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound, ApplicationNotRunning, TaskNotReady (retriable), StoreNotFound, InvalidRequest; RequestTimedOut (retriable) when no commit
    /// reflected <see cref="StateQuery.AtLeast"/> in time.</exception>
    [AlwaysInterleave]
    [Alias("QueryAsync")]
    Task<StateQueryResult> QueryAsync(StateQuery query);

    /// <summary>Asks all tasks that have a part of the store, and merges what they answer.</summary>
    /// <exception cref="StreamsException">As of <see cref="QueryAsync"/>.</exception>
    [AlwaysInterleave]
    [Alias("ScanAsync")]
    Task<StoreScanResult> ScanAsync(StoreScan scan);

    /// <summary>The tasks that keep a store, or the one that keeps a key of it: for who follows its changes task by task.</summary>
    /// <param name="store">The store's name.</param>
    /// <param name="key">The key, as bytes; null for all tasks.</param>
    /// <exception cref="StreamsException">ApplicationNotFound, ApplicationNotRunning, StoreNotFound.</exception>
    [AlwaysInterleave]
    [Alias("LocateAsync")]
    Task<StorePlace> LocateAsync(string store, ReadOnlyMemory<byte>? key);

    /// <summary>The topology, with the topics that it really uses: that of the last start, or the one it has without any parameters.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound; InvalidConfig or InvalidRequest when it cannot be described.</exception>
    [AlwaysInterleave]
    [Alias("GetTopologyAsync")]
    Task<TopologyText> GetTopologyAsync();
}

/// <summary>One task of an application; the key is <c>application/subTopology_partition</c>. Only application grains call it, but for status and queries.</summary>
[Alias("streams.IStreamTaskGrain")]
public interface IStreamTaskGrain : IGrainWithStringKey
{
    /// <summary>Starts the task if it does not run.</summary>
    [Alias("StartWithAsync")]
    Task StartAsync(StreamTaskStart start);

    /// <summary>Pauses the task or lets it go on, until its next start.</summary>
    [Alias("SetPausedAsync")]
    Task SetPausedAsync(bool isPaused);

    /// <summary>Tells it how far the aligned sources of the application's other tasks have come: one of its own that is further ahead than it may be waits.</summary>
    /// <param name="slowestOther">The least watermark of those that are neither idle nor at their end, ms since the Unix epoch; long.MinValue when one has no event yet, long.MaxValue when none counts.</param>
    /// <returns>The same of its own sources.</returns>
    [AlwaysInterleave]
    [Alias("AlignAsync")]
    Task<long> AlignAsync(long slowestOther);

    /// <summary>Stops it after a last commit.</summary>
    [Alias("StopAsync")]
    Task StopAsync();

    /// <summary>Stops it and deletes its state: a later start begins anew.</summary>
    /// <exception cref="StreamsException">StorageError.</exception>
    [Alias("DropAsync")]
    Task DropAsync();

    /// <summary>Its status; a ping that keeps the activation.</summary>
    [AlwaysInterleave]
    [Alias("GetStatusAsync")]
    Task<StreamTaskStatus> GetStatusAsync();

    /// <summary>Reads committed state.</summary>
    [AlwaysInterleave]
    [Alias("QueryAsync")]
    Task<StateQueryResult> QueryAsync(StateQuery query);

    /// <summary>Reads a page of committed state; the continuation says only whether there is more.</summary>
    [AlwaysInterleave]
    [Alias("ScanAsync")]
    Task<StoreScanResult> ScanAsync(StoreScan scan);

    /// <summary>
    /// The committed changes of a store since a version, as soon as there are any. A task remembers changes only while somebody asks for them at least once a minute, and no more than
    /// some (100,000 rows, 16 MiB): who comes later is told to read the store again.
    /// </summary>
    /// <exception cref="StreamsException">TaskNotReady (retriable), ApplicationNotRunning, StoreNotFound; InvalidRequest for a store that has no rows to follow.</exception>
    [AlwaysInterleave]
    [Alias("WatchAsync")]
    Task<StoreChanges> WatchAsync(StoreWatch watch, CancellationToken cancellationToken);

    /// <summary>Waits until a commit is durable, and its results delivered, that has an input's record behind it.</summary>
    /// <exception cref="StreamsException">RequestTimedOut, TaskNotReady (both retriable), ApplicationNotRunning.</exception>
    [AlwaysInterleave]
    [Alias("ReflectAsync")]
    Task ReflectAsync(InputOffset input, int waitMs);
}
