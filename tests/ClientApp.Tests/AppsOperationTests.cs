using System.Text.Json;
using OrleansStreams.Processing;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.ClientApp.Tests;

/// <summary>Versions, comparisons and operations from the command line, on a real application.</summary>
public sealed class AppsOperationTests
{
    private const string App = "word-counts";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    [Fact]
    public async Task A_batch_is_compared_with_the_stream_takes_its_alias_and_the_stream_is_paused_reset_and_dropped()
    {
        await using var silo = await TestSilo.StartAsync(services: services => services.AddStreamApplication(App, Describe));
        (await Cli.RunAsync(silo, "topics", "create", "words", "--partitions", "2")).Fine();
        (await Cli.RunAsync(silo.Address, "red:a\nblue:b\nred:c\n", "produce", "words")).Fine();
        (await Cli.RunAsync(silo, "apps", "start", App)).Fine();
        (await Cli.RunAsync(silo, "apps", "start", $"{App}@batch", "--to-offsets", "latest")).Fine();
        await UntilAsync(silo, $"{App}@batch", status => status.GetProperty("state").GetString() == "Completed");
        await UntilAsync(silo, App, status => In(status) == 3);

        (await Cli.RunAsync(silo, "apps", "reconcile", App, $"{App}@batch")).Fine().Output.ShouldContain("counts: 2 equal, 0 different, 0 only in word-counts, 0 only in word-counts@batch");
        var nothing = await Cli.RunAsync(silo, "apps", "reconcile", App, $"{App}@batch", "--store", "counts", "--from", "2199-01-01T00:00:00Z");
        nothing.ExitCode.ShouldBe(1);
        nothing.Output.ShouldContain("nothing to compare");
        (await Cli.RunAsync(silo, "apps", "switch", "counting", $"{App}@batch")).Fine().Output.ShouldContain("'counting' is 'word-counts@batch'");
        (await Cli.RunAsync(silo, "apps", "list")).Fine().Output.ShouldContain("'counting' is 'word-counts@batch'");
        (await Cli.RunAsync(silo, "apps", "drop", $"{App}@batch")).Failed(1, "'counting'");

        (await Cli.RunAsync(silo, "apps", "pause", App)).Fine().Output.ShouldContain("Paused");
        (await Cli.RunAsync(silo.Address, "red:d\ngreen:e\n", "produce", "words")).Fine();
        (await Cli.RunAsync(silo, "apps", "resume", App)).Fine().Output.ShouldContain("Running");
        await UntilAsync(silo, App, status => In(status) == 5);
        var differs = await Cli.RunAsync(silo, "apps", "reconcile", App, "counting", "--store", "counts");
        differs.ExitCode.ShouldBe(1);
        differs.Output.ShouldContain("1 equal, 1 different, 1 only in word-counts, 0 only in counting");
        differs.Output.ShouldContain("onlyInFirst");
        (await Cli.RunAsync(silo, "apps", "reconcile", App, "counting", "--limit", "0")).Failed(1, "from 1 to 10000");
        (await Cli.RunAsync(silo, "apps", "reconcile", App, "counting", "--limit", "1")).Output.ShouldContain("1 equal, 1 different, 1 only in word-counts");
        (await Cli.RunAsync(silo, "apps", "pause", "counting")).Failed(1, $"name '{App}@batch'");
        (await Cli.RunAsync(silo, "apps", "query", "counting", "--store", "counts", "--key", "red")).Fine().Lines[^1].ShouldStartWith($"of '{App}@batch', watermark end, commit ");
        (await Cli.RunAsync(silo, "apps", "status", App)).Fine().Output.ShouldContain("BEHIND CLOCK");
        var rows = (await Cli.RunAsync(silo, "apps", "query", "counting", "--store", "counts")).Fine();
        rows.Lines.Skip(1).Take(2).Select(line => line.Split(' ')[0]).ShouldBe(["blue", "red"]);
        rows.Lines.Skip(3).Select(line => line.Split(", commit")[0]).ShouldBe([.. Enumerable.Range(0, 2).Select(partition => $"of '{App}@batch', partition {partition}: watermark end")]);

        (await Cli.RunAsync(silo, "apps", "reset", App, "--to", "earliest")).Failed(1, "stop it before");
        (await Cli.RunAsync(silo, "apps", "stop", App)).Fine();
        (await Cli.RunAsync(silo, "apps", "reset", App, "--to", "latest")).Fine().Output.ShouldContain("Stopped");
        (await Cli.RunAsync(silo, "apps", "drop", App)).Fine();
        (await Cli.RunAsync(silo, "apps", "query", App, "--store", "counts", "--key", "red")).Failed(1, "never started");
    }

    private static void Describe(StreamsBuilder builder, ApplicationParameters parameters) => builder
        .Stream("words", Consumed.With(Serdes.Utf8, Serdes.Utf8).WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.FromDays(1))))
        .GroupByKey()
        .WindowedBy(TumblingWindows.Of(TimeSpan.FromDays(36_500)))
        .Count(Materialized.As("counts", Serdes.Int64).WithRetention(TimeSpan.FromDays(36_500)));

    private static long In(JsonElement status) => status.GetProperty("tasks").EnumerateArray().Sum(task => task.GetProperty("recordsIn").GetInt64());

    private static async Task UntilAsync(TestSilo silo, string app, Func<JsonElement, bool> holds)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (true)
        {
            var status = await silo.GetAsync($"/apps/{app}");
            if (holds(status))
            {
                return;
            }

            patience.IsCancellationRequested.ShouldBeFalse($"it never came: {status}");
        }
    }
}
