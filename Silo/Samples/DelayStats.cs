using System.Text.Json.Serialization;

namespace OrleansStreams.Silo.Samples;

/// <summary>The delays of one airport in one window.</summary>
/// <param name="Count">Flights.</param>
/// <param name="SumDelay">Minutes, summed.</param>
/// <param name="MaxDelay">The largest delay in minutes.</param>
public readonly record struct DelayStats(
    [property: JsonPropertyName("count")] long Count,
    [property: JsonPropertyName("sum_delay")] long SumDelay,
    [property: JsonPropertyName("max_delay")] int MaxDelay)
{
    /// <summary>The mean delay in minutes, 0 without flights.</summary>
    [JsonPropertyName("mean_delay")]
    public double MeanDelay => Count == 0 ? 0 : (double)SumDelay / Count;

    /// <summary>With one flight more.</summary>
    public DelayStats Add(int delay) => new(Count + 1, SumDelay + delay, Count == 0 ? delay : Math.Max(MaxDelay, delay));

    /// <summary>With another window's flights.</summary>
    public DelayStats Add(DelayStats other) =>
        other.Count == 0 ? this : new(Count + other.Count, SumDelay + other.SumDelay, Count == 0 ? other.MaxDelay : Math.Max(MaxDelay, other.MaxDelay));
}

/// <summary>The final result of one window of one airport: a record of topic <c>delays-by-airport</c>.</summary>
/// <param name="WindowStart">The window's start.</param>
/// <param name="Origin">The airport.</param>
/// <param name="Count">Flights.</param>
/// <param name="SumDelay">Minutes, summed.</param>
/// <param name="MaxDelay">The largest delay in minutes.</param>
/// <param name="MeanDelay">The mean delay in minutes.</param>
public sealed record DelayWindow(
    [property: JsonPropertyName("window_start")] DateTime WindowStart,
    [property: JsonPropertyName("origin")] string Origin,
    [property: JsonPropertyName("count")] long Count,
    [property: JsonPropertyName("sum_delay")] long SumDelay,
    [property: JsonPropertyName("max_delay")] int MaxDelay,
    [property: JsonPropertyName("mean_delay")] double MeanDelay)
{
    /// <summary>The result of a window that begins at <paramref name="windowStart"/> (ms since the Unix epoch).</summary>
    public static DelayWindow Of(long windowStart, string origin, DelayStats stats) => new(
        DateTimeOffset.FromUnixTimeMilliseconds(windowStart).UtcDateTime, origin, stats.Count, stats.SumDelay, stats.MaxDelay, stats.MeanDelay);
}
