using System.Diagnostics;
using System.Globalization;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Nexmark.Events;
using OrleansStreams.Nexmark.Queries;
using OrleansStreams.Nexmark.Runs;

namespace OrleansStreams.Benchmarks.Nexmark;

/// <summary>
/// Each query's topology, by the task engine with its commits over topics and journals in memory, beside the loop that one would write by hand; both in one thread, over the same record batches. The results
/// of both are compared with those of a naive model before anything is measured.
/// </summary>
internal static class NexmarkReport
{
    // A run of fewer events is repeated within the time that is measured: it would be over before the memory that it takes is warm.
    private const int EventsOfRun = 500_000;

    // Until the runtime has compiled what is hot with what it has seen of it.
    private static readonly TimeSpan s_warmUp = TimeSpan.FromSeconds(2);

    private const double LeastRatio = 0.30;

    /// <returns>The exit code: 1 when results differ from the model's, or when a topology is slower than <see cref="LeastRatio"/> of its loop.</returns>
    public static int Run(NexmarkOptions options)
    {
        var events = NexmarkInput.Events(new NexmarkSettings(), options.Events);
        var batches = NexmarkInput.Batches(events);
        var ratios = new List<double>();
        var failed = 0;
        ReportTable.Title(string.Create(
            CultureInfo.InvariantCulture,
            $"nexmark: {events.Length:#,0} events ({batches.Sum(batch => (long)batch.Length) / events.Length} B each), exactly once, one thread, logs in memory; events/s; raw bound: the hand-written loop; medians of {options.Repeats}"));
        ReportTable.Columns();
        foreach (var query in options.Queries)
        {
            if (Difference(query, events, batches) is { } difference)
            {
                failed++;
                Console.WriteLine($"{query.Name}: WRONG: {difference}");
                continue;
            }

            var line = Measure(query, events.Length, batches, options.Repeats);
            ratios.Add(line.Ratio!.Value);
            ReportTable.Line(line);
        }

        if (ratios.Count > 0)
        {
            ReportTable.Note(string.Create(
                CultureInfo.InvariantCulture, $"{ratios.Count} queries right; ratio at least {LeastRatio:0.00} in {ratios.Count(ratio => ratio >= LeastRatio)}, least {ratios.Min():0.00}, median {Statistics.Median(ratios):0.00}"));
        }

        return failed == 0 && ratios.TrueForAll(ratio => ratio >= LeastRatio) ? 0 : 1;
    }

    private static string? Difference(NexmarkQuery query, Event[] events, List<byte[]> batches)
    {
        var expected = query.Expect(events);
        var run = new TopologyRun(query);
        run.Run([batches]);
        if (run.LateRecords > 0)
        {
            return $"{run.LateRecords} events were late";
        }

        if (run.Results().DifferenceFrom(expected) is { } difference)
        {
            return "the topology: " + difference;
        }

        var results = new ResultSet(query.IsTable);
        foreach (var batch in RunByHand(query, batches))
        {
            results.Add(batch);
        }

        return results.DifferenceFrom(expected) is { } wrong ? "the loop by hand: " + wrong : null;
    }

    private static Measurement Measure(NexmarkQuery query, int events, List<byte[]> batches, int repeats)
    {
        for (var begin = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(begin) < s_warmUp;)
        {
            new TopologyRun(query).Run([batches]);
            RunByHand(query, batches);
        }

        var rounds = Math.Max(1, EventsOfRun / events);
        return Measurement.MedianOfAsync(
            $"{query.Name} {query.GetType().Name}",
            repeats,
            _ => Task.FromResult(Cost.Of((long)events * rounds, () => Repeat(rounds, () => new TopologyRun(query).Run([batches])))),
            () => Cost.Of((long)events * rounds, () => Repeat(rounds, () => RunByHand(query, batches)))).GetAwaiter().GetResult();
    }

    private static void Repeat(int rounds, Action round)
    {
        for (; rounds > 0; rounds--)
        {
            round();
        }
    }

    private static IReadOnlyList<byte[]> RunByHand(NexmarkQuery query, List<byte[]> batches)
    {
        var loop = query.CreateLoop();
        for (var at = 0; at < batches.Count; at++)
        {
            loop.ClockMs = NexmarkInput.ArrivalOf((long)at * NexmarkInput.BatchEvents);
            loop.Run(batches[at]);
        }

        loop.Finish();
        return loop.Results;
    }
}
