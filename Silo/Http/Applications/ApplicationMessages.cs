using System.Text.Json.Serialization;
using OrleansStreams.Clients;
using OrleansStreams.Processing;
using OrleansStreams.Silo.Http.Requests;

namespace OrleansStreams.Silo.Http.Applications;

/// <summary>The applications that this server knows.</summary>
internal sealed record ApplicationListBody(IReadOnlyList<ApplicationSummary> Apps, IReadOnlyList<AliasBody> Aliases);

/// <summary>A name under which an application is queried.</summary>
internal sealed record AliasBody(string Alias, string App);

/// <summary>The application that an alias is to stand for.</summary>
internal sealed record SwitchAliasBody(string App);

/// <summary>Where the next start begins to read: earliest, latest, an offset or timestamp:T.</summary>
internal sealed record ResetApplicationBody(string To);

/// <summary>A comparison of two stores, or of the part of them that one answer has: the differences by key bytes and window, of which only the first are listed, and the continuation for the
/// next part, null when there is none.</summary>
internal sealed record ReconcileBody(long Equal, long OnlyInFirst, long OnlyInSecond, long Different, IReadOnlyList<DifferenceBody> Differences, string? Continuation);

/// <summary>A row in which two stores differ: onlyInFirst, onlyInSecond or different.</summary>
internal sealed record DifferenceBody(
    object? Key, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? KeyEncoding, string? WindowStart, string? WindowEnd, RowDifferenceKind Kind, object? First, object? Second);

/// <summary>An application in the list.</summary>
internal sealed record ApplicationSummary(string Name, string State, int Tasks);

/// <summary>How an application is started: its parameters; for one without state also where it begins to read, and where its inputs end (earliest, latest, an offset or timestamp:T).</summary>
internal sealed record StartApplicationBody(Dictionary<string, string>? Parameters = null, string? From = null, string? To = null);

/// <summary>
/// An application: sums over its tasks, and the tasks. The watermark is the smallest of the tasks' as ISO 8601, null before the first event,
/// "end" after the end of the input; the lag is null while a task's is not known.
/// </summary>
internal sealed record ApplicationBody(
    string Name, string State, IReadOnlyDictionary<string, string> Parameters, string? Watermark, long? Lag, double RecordsPerSecond,
    long RecordsIn, long RecordsOut, long LateRecords, IReadOnlyList<TaskBody> Tasks)
{
    public static ApplicationBody Of(StreamApplicationStatus status) => new(
        status.Name,
        status.State.ToString(),
        new SortedDictionary<string, string>(status.Parameters, StringComparer.Ordinal),
        status.Tasks.IsEmpty ? null : QueryText.Watermark(status.Tasks.Min(task => task.EventTimeWatermark)),
        status.Tasks.Any(task => task.Lag < 0) ? null : status.Tasks.Sum(task => task.Lag),
        status.Tasks.Sum(task => task.RecordsPerSecond),
        status.Tasks.Sum(task => task.RecordsIn),
        status.Tasks.Sum(task => task.RecordsOut),
        status.Tasks.Sum(task => task.LateRecords),
        [.. status.Tasks.Select(TaskBody.Of)]);
}

/// <summary>An application's topology, and the stores in it that hold results.</summary>
internal sealed record TopologyBody(string App, string Text, string Mermaid, IReadOnlyList<string> Stores);

/// <summary>
/// A task of an application; source is there for tasks that read a file. The watermark's lag is in ms behind the wall clock; newestEvent is the largest event time that was
/// processed, which it should be compared with where old data is read. Commit times are those from a commit's drain to its durability.
/// </summary>
internal sealed record TaskBody(
    string TaskId, string State, string? Watermark, long? Lag, double RecordsPerSecond, long RecordsIn, long RecordsOut, long LateRecords, long Commits,
    long StateEntries, FileSourceBody? Source, string? Error)
{
    public long? WatermarkLagMs { get; init; }

    public string? NewestEvent { get; init; }

    public long SkippedRecords { get; init; }

    public long DeadLetters { get; init; }

    public bool IsPaused { get; init; }

    public bool WillRestart { get; init; }

    public double? CommitMsLast { get; init; }

    public double? CommitMsMedian { get; init; }

    public long StateBytes { get; init; }

    public static TaskBody Of(StreamTaskStatus task) => new(
        task.TaskId,
        task.State.ToString(),
        QueryText.Watermark(task.EventTimeWatermark),
        task.Lag < 0 ? null : task.Lag,
        task.RecordsPerSecond,
        task.RecordsIn,
        task.RecordsOut,
        task.LateRecords,
        task.Commits,
        task.StateEntries,
        task.SourceRow < 0 ? null : new FileSourceBody(task.SourceRow, task.SourceBytes, task.SourceBytesTotal),
        task.Error)
    {
        WatermarkLagMs = task.WatermarkLagMs < 0 ? null : task.WatermarkLagMs,
        NewestEvent = QueryText.Watermark(task.NewestEventTime),
        SkippedRecords = task.SkippedRecords,
        DeadLetters = task.DeadLetters,
        IsPaused = task.IsPaused,
        WillRestart = task.WillRestart,
        CommitMsLast = task.CommitMsLast < 0 ? null : task.CommitMsLast,
        CommitMsMedian = task.CommitMsMedian < 0 ? null : task.CommitMsMedian,
        StateBytes = task.StateSizeBytes,
    };
}

/// <summary>How far a file source is.</summary>
internal sealed record FileSourceBody(long Row, long Bytes, long BytesTotal);

/// <summary>A store's entries for a key, as of one commit, from the application that answered (under an alias, the one that it stands for), and the continuation for those behind them, null
/// when there are none.</summary>
internal sealed record StoreBody(
    string App, string Store, string Key, string? Watermark, long Commit, IReadOnlyList<StoreEntryBody> Entries, string? Continuation);

/// <summary>A page of a store's rows by key bytes and window, what each partition's reflect, and the continuation for the next page, null when there is none.</summary>
internal sealed record StoreRowsBody(string App, string Store, IReadOnlyList<PartitionBody> Partitions, IReadOnlyList<StoreRowBody> Rows, string? Continuation);

/// <summary>What of a partition an answer reflects.</summary>
internal sealed record PartitionBody(int Partition, string TaskId, string? Watermark, long Commit)
{
    public static PartitionBody Of(PartitionView view) => new(view.Partition, view.TaskId, QueryText.Watermark(view.EventTimeWatermark), view.CommitOffset);
}

/// <summary>A row: the key and the value as the store's serdes mean them, base64 where those are bytes.</summary>
internal sealed record StoreRowBody(
    object? Key,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? KeyEncoding,
    string? WindowStart,
    string? WindowEnd,
    object? Value,
    bool IsFinal,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? ValueEncoding = null);

/// <summary>An event of a store's stream of changes: the row as it is, or which one is gone; commit is null while the rows come with which the stream begins.</summary>
internal sealed record StoreEventBody(
    int Partition,
    object? Key,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? KeyEncoding,
    string? WindowStart,
    string? WindowEnd,
    object? Value,
    bool IsFinal,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? ValueEncoding,
    long? Commit)
{
    public static StoreEventBody Of(int partition, StoreRowBody row, bool isDeleted, long? commit) => new(
        partition, row.Key, row.KeyEncoding, row.WindowStart, row.WindowEnd, isDeleted ? null : row.Value, row.IsFinal, isDeleted ? null : row.ValueEncoding, commit);
}

/// <summary>An entry: the window's bounds (null for a plain store), and the value as its store's serde means it, base64 where that are bytes.</summary>
internal sealed record StoreEntryBody(
    string? WindowStart, string? WindowEnd, object? Value, bool IsFinal, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? ValueEncoding = null);
