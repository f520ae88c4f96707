using System.Globalization;
using System.Text.Json;
using OrleansStreams.Processing;
using OrleansStreams.Silo.Samples;

namespace OrleansStreams.ClientApp.Demo;

/// <summary>Status as JSON lines: <c>started</c>, <c>progress</c> whenever rows moved, <c>completed</c>.</summary>
internal sealed class JsonDemoOutput(TextWriter writer) : IDemoOutput
{
    public void Begin(string dataPath, FlightDelaysSettings run) =>
        Write(new { status = "started", data = dataPath, input = run.Input, partitions = run.Partitions });

    public Task ProgressAsync(long rows, Func<Action<StreamApplicationStatus>, Task> follow)
    {
        var told = -1L;
        return follow(status =>
        {
            var row = status.Tasks.Max(task => task.SourceRow);
            if (row != told)
            {
                told = row;
                Write(new { status = "progress", rows, row, state = status.State.ToString(), late = status.Tasks.Sum(task => task.LateRecords), lag = status.Tasks.Sum(task => Math.Max(0, task.Lag)) });
            }
        });
    }

    public void End(DemoSummary summary, string dataPath, string? output, IReadOnlyList<string>? differences) => Write(new
    {
        status = "completed",
        rows = summary.Rows,
        rows_this_run = summary.RowsThisRun,
        windows = summary.Windows,
        late = summary.Late,
        seconds = Math.Round(summary.Elapsed.TotalSeconds, 3),
        rows_per_second = Math.Round(summary.RowsPerSecond),
        peak_memory_bytes = summary.PeakMemoryBytes,
        worst_airports = summary.Worst.Select(airport => new { origin = airport.Origin, flights = airport.Stats.Count, mean_delay = Math.Round(airport.Stats.MeanDelay, 2), max_delay = airport.Stats.MaxDelay }),
        histogram = summary.Histogram.Select((flights, bucket) => new { delay = DemoSummary.DelayBuckets[bucket].Name, flights }),
        data = dataPath,
        @out = output,
        verified = differences is null ? (bool?)null : differences.Count == 0,
        differences,
    });

    private void Write(object status)
    {
        writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{JsonSerializer.Serialize(status)}"));
        writer.Flush();
    }
}
