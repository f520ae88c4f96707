using OrleansStreams.Clients;
using OrleansStreams.Records;
using OrleansStreams.Silo.Samples;

namespace OrleansStreams.ClientApp.Demo;

/// <summary>What the demo shows at its end.</summary>
internal sealed record DemoSummary
{
    public long Rows { get; init; }

    public long RowsThisRun { get; init; }

    public long Windows { get; init; }

    public long Late { get; init; }

    public TimeSpan Elapsed { get; init; }

    /// <summary>The most memory that this process had, in bytes; 0 where the system does not tell.</summary>
    public long PeakMemoryBytes { get; init; }

    /// <summary>Airports by mean delay, the worst first, of those with at least <see cref="FlightsMin"/> flights.</summary>
    public IReadOnlyList<(string Origin, DelayStats Stats)> Worst { get; init; } = [];

    /// <summary>Flights per <see cref="DelayBuckets"/> entry.</summary>
    public IReadOnlyList<long> Histogram { get; init; } = [];

    /// <summary>An airport with fewer flights says little.</summary>
    public const int FlightsMin = 30;

    /// <summary>The histogram's classes: the first delay (minutes) not in the class, and its name.</summary>
    public static IReadOnlyList<(int Below, string Name)> DelayBuckets { get; } =
    [
        (-14, "15 min early or more"), (0, "early"), (1, "on time"), (16, "1-15 min late"), (31, "16-30 min"), (61, "31-60 min"), (121, "1-2 h"), (int.MaxValue, "more than 2 h"),
    ];

    public double RowsPerSecond => Elapsed > TimeSpan.Zero ? RowsThisRun / Elapsed.TotalSeconds : 0;

    /// <summary>Reads both result topics from beginning to end, as any consumer would.</summary>
    public static async Task<DemoSummary> CollectAsync(StreamsClient client, int partitions, ExternalSort<DelayWindow> windows, CancellationToken cancellationToken)
    {
        var airports = new Dictionary<string, DelayStats>(StringComparer.Ordinal);
        await foreach (var window in TopicToEnd.ReadAsync(client, FlightDelays.DelaysByAirport, partitions, Serdes.Json<DelayWindow>(), cancellationToken))
        {
            windows.Add(window);
            airports[window.Origin] = airports.GetValueOrDefault(window.Origin).Add(new DelayStats(window.Count, window.SumDelay, window.MaxDelay));
        }

        var histogram = new long[DelayBuckets.Count];
        await foreach (var flight in TopicToEnd.ReadAsync(client, FlightDelays.Flights, partitions, Serdes.Json<Flight>(), cancellationToken))
        {
            var bucket = 0;
            while (flight.Delay >= DelayBuckets[bucket].Below && bucket < DelayBuckets.Count - 1)
            {
                bucket++;
            }

            histogram[bucket]++;
        }

        return new DemoSummary
        {
            Windows = windows.Count,
            Histogram = histogram,
            Worst = [.. airports.Select(airport => (airport.Key, airport.Value))
                .OrderBy(airport => airport.Value.Count < FlightsMin).ThenByDescending(airport => airport.Value.MeanDelay).ThenBy(airport => airport.Key, StringComparer.Ordinal)
                .Take(10)],
        };
    }
}
