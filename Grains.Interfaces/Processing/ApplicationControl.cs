using System.Collections.Immutable;

namespace OrleansStreams.Processing;

/// <summary>How a place in a partition is told.</summary>
[GenerateSerializer]
[Alias("streams.position-kind")]
public enum StreamPositionKind
{
    /// <summary>The first record that is there.</summary>
    Earliest,

    /// <summary>Behind the last record that is there.</summary>
    Latest,

    /// <summary>An offset, the same in every partition.</summary>
    Offset,

    /// <summary>The first record at or after a timestamp.</summary>
    Timestamp,
}

/// <summary>A place in each partition of the topics that an application reads.</summary>
/// <param name="Kind">How it is told.</param>
/// <param name="Value">The offset, or the timestamp in ms since the Unix epoch; 0 for the ends.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.position")]
public sealed record StreamPosition([property: Id(0)] StreamPositionKind Kind, [property: Id(1)] long Value)
{
    /// <summary>The first record that is there.</summary>
    public static StreamPosition Earliest { get; } = new(StreamPositionKind.Earliest, 0);

    /// <summary>Behind the last record that is there.</summary>
    public static StreamPosition Latest { get; } = new(StreamPositionKind.Latest, 0);

    /// <inheritdoc/>
    public override string ToString() => Kind is StreamPositionKind.Earliest or StreamPositionKind.Latest ? $"{Kind}".ToLowerInvariant() : $"{Kind} {Value}".ToLowerInvariant();
}

/// <summary>How an application is started.</summary>
/// <param name="Parameters">Passed to the topology's factory; none means those of the last start.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.application-start")]
public sealed record StreamApplicationStart([property: Id(0)] ImmutableDictionary<string, string> Parameters)
{
    /// <summary>Where it begins to read; null for the earliest records. Only for an application without state.</summary>
    [Id(1)]
    public StreamPosition? From { get; init; }

    /// <summary>
    /// Where its inputs end, taken now and kept: it processes what stands before at full speed, closes all windows and completes. Null for no end. Only for an application without
    /// state. Topics that it writes itself end when their writers do.
    /// </summary>
    [Id(2)]
    public StreamPosition? To { get; init; }
}

/// <summary>How a task is started.</summary>
/// <param name="Parameters">The application's.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.task-start")]
public sealed record StreamTaskStart([property: Id(0)] ImmutableDictionary<string, string> Parameters)
{
    /// <summary>Whether it begins paused.</summary>
    [Id(1)]
    public bool IsPaused { get; init; }

    /// <summary>By topic, where a task without state begins to read its partition; topics that are absent are read from their earliest record.</summary>
    [Id(2)]
    public ImmutableDictionary<string, long> StartOffsets { get; init; } = ImmutableDictionary<string, long>.Empty;

    /// <summary>By topic, the first offset that does not belong to the input any more; topics that are absent have no end.</summary>
    [Id(3)]
    public ImmutableDictionary<string, long> EndOffsets { get; init; } = ImmutableDictionary<string, long>.Empty;
}

/// <summary>What of the user's topics an application uses.</summary>
/// <param name="IsRunning">Whether it is meant to run, or is being started.</param>
/// <param name="HasState">Whether it has processed records, and goes on behind them when it is started.</param>
/// <param name="Parameters">The parameters that it was started with.</param>
/// <param name="Written">The topics that it writes: results, late and poison records.</param>
/// <param name="Read">The topics that it reads.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.application-use")]
public sealed record ApplicationUse(
    [property: Id(0)] bool IsRunning, [property: Id(1)] bool HasState, [property: Id(2)] ImmutableDictionary<string, string> Parameters,
    [property: Id(3)] ImmutableArray<string> Written, [property: Id(4)] ImmutableArray<string> Read);

/// <summary>A name under which an application is queried, so that another version can take its place between two queries.</summary>
/// <param name="Alias">The name.</param>
/// <param name="Application">The application that it stands for.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.serving-alias")]
public sealed record ServingAlias([property: Id(0)] string Alias, [property: Id(1)] string Application);
