using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using OrleansStreams.Processing;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.ClientApp.Tests;

/// <summary>The commands against a real application: what is produced comes back as windows.</summary>
public sealed class RealApplicationTests
{
    // Metrics are those of the process: no other test has this name.
    private const string App = "words-of-the-command-line";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    [Fact]
    public async Task Records_produced_on_the_command_line_are_counted_by_an_application_that_it_starts_and_queries()
    {
        await using var silo = await TestSilo.StartAsync(services: services => services.AddStreamApplication(App, Describe));
        (await Cli.RunAsync(silo, "topics", "create", "words", "--partitions", "2")).Fine();
        (await Cli.RunAsync(silo, "topics", "create", "counts")).Fine();
        (await Cli.RunAsync(silo, "apps", "query", App, "--store", "counts", "--key", "red")).Failed(1, "never started");
        (await Cli.RunAsync(silo.Address, Lines("red:a", "blue:b", "red:c", "red:d"), "produce", "words")).Fine();

        (await Cli.RunAsync(silo, "apps", "start", App)).Fine();
        await CountedAsync(silo, 4);

        var red = (await Cli.RunAsync(silo, "apps", "query", App, "--store", "counts", "--key", "red")).Fine();
        red.Lines.Length.ShouldBe(3);
        red.Lines[1].ShouldContain("  3  ", customMessage: "an int64 is shown as a number");
        red.Lines[2].ShouldStartWith($"of '{App}', watermark ");
        var client = silo.Services.GetRequiredService<OrleansStreams.Clients.StreamsClient>();
        var windows = await client.Applications.QueryWindowsAsync(App, "counts", "red", Serdes.Utf8, Serdes.Int64, DateTimeOffset.MinValue, DateTimeOffset.MaxValue);
        var window = windows.Windows.ShouldHaveSingleItem();
        (window.Value, window.IsFinal).ShouldBe((3L, false));
        (await client.Applications.QueryWindowsAsync(App, "counts", "red", Serdes.Utf8, Serdes.Int64, DateTimeOffset.UnixEpoch.AddYears(500), DateTimeOffset.MaxValue))
            .Windows.ShouldBeEmpty("it begins earlier");
        var metrics = await silo.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative));
        metrics.Split('\n').Where(line => line.StartsWith($"streams_task_records_in_total{{application=\"{App}\"", StringComparison.Ordinal))
            .Sum(line => long.Parse(line[(line.LastIndexOf(' ') + 1)..])).ShouldBe(4);
        metrics.ShouldContain("\nstreams_fetch_bytes_total ");
        (await Cli.RunAsync(silo, "apps", "query", App, "--store", "counts", "--key", "green")).Fine().Lines.Length.ShouldBe(2, "the heads of the columns, and what the answer reflects");
        (await Cli.RunAsync(silo, "apps", "query", App, "--store", "other", "--key", "red")).Failed(1, "other");

        (await Cli.RunAsync(silo, "apps", "stop", App)).Fine();
        (await Cli.RunAsync(silo, "apps", "query", App, "--store", "counts", "--key", "red")).Failed(1, "is stopped");
        (await Cli.RunAsync(silo.Address, Lines("red:e"), "produce", "words")).Fine();
        (await Cli.RunAsync(silo, "apps", "start", App)).Fine();
        await CountedAsync(silo, 5);
        (await Cli.RunAsync(silo, "apps", "query", App, "--store", "counts", "--key", "red")).Fine().Lines[1].ShouldContain("  4  ");
    }

    // The window never closes while the test runs, so that all words of a key are in one.
    private static void Describe(StreamsBuilder builder, ApplicationParameters parameters) => builder
        .Stream("words", Consumed.With(Serdes.Utf8, Serdes.Utf8).WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.FromDays(1))))
        .GroupByKey()
        .WindowedBy(TumblingWindows.Of(TimeSpan.FromDays(36_500)))
        .Aggregate(() => 0L, (_, _, count) => count + 1, Materialized.As("counts", Serdes.Int64))
        .Map((window, count) => (window.Key, count))
        .To("counts", Produced.With(Serdes.Utf8, Serdes.Int64));

    private static string Lines(params string[] lines) => string.Concat(lines.Select(line => line + "\n"));

    /// <summary>Waits until so many records are in committed windows; each question takes a process, which paces them.</summary>
    private static async Task CountedAsync(TestSilo silo, long records)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (true)
        {
            var status = JsonDocument.Parse((await Cli.RunAsync(silo, "apps", "status", App, "--json")).Fine().Output).RootElement;
            var counted = status.GetProperty("tasks").EnumerateArray().Sum(task => task.GetProperty("recordsIn").GetInt64());
            if (counted == records)
            {
                return;
            }

            counted.ShouldBeLessThan(records);
            patience.IsCancellationRequested.ShouldBeFalse($"{counted} of {records} records were counted: {status}");
        }
    }
}
