using System.Diagnostics;
using System.Text.Json;
using OrleansStreams.Silo.Samples;
using Xunit.Abstractions;
using static OrleansStreams.Silo.Tests.Server.SampleRun;

namespace OrleansStreams.Silo.Tests.Server;

/// <summary>
/// What guarantees come to when the real server gets SIGKILL just as the first task of an application has written results to the topic that its second tasks read: then they are in the topic's file, and
/// with at-least-once not in the journal yet.
/// </summary>
[Collection(ServerCollection.Name)]
public sealed class GuaranteeKillTests(ITestOutputHelper output) : IDisposable
{
    private const int Kills = 3;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task A_server_killed_while_it_writes_results_counts_each_record_once_with_exactly_once_and_some_again_with_at_least_once()
    {
        var rows = File.ReadLines(FlightDelaysSettings.ShippedInput).Count() - 1;

        var (flights, counted) = await RunAsync("exactly-once");
        flights.Count.ShouldBe(rows);
        counted.ShouldBe(rows);

        var (copies, countedAgain) = await RunAsync("at-least-once");
        copies.Count.ShouldBeGreaterThan(rows, "what was sent before a kill is sent again");
        copies.Distinct().ShouldBe(flights.Distinct(), "nothing is lost");
        countedAgain.ShouldBeGreaterThanOrEqualTo(copies.Count);
    }

    /// <summary>Kills and restarts while the sample runs, then lets it complete: the flights as they stand in their topic, and how many are in windows or late.</summary>
    private async Task<(List<string> Flights, long Counted)> RunAsync(string guarantee)
    {
        var data = folder.In(guarantee);
        string[] settings = ["--sample-rate", "4000", "--guarantee", guarantee];
        for (var kill = 0; kill < Kills; kill++)
        {
            await using var killed = await SiloProcess.StartedAsync(data, sample: true, settings);
            WaitForGrowth(data);
            await killed.KillAsync();
        }

        await using var last = await SiloProcess.StartedAsync(data, sample: true, settings);
        await CompletedAsync(last);
        var windows = await ValuesAsync(last, FlightDelays.DelaysByAirport);
        var late = await ValuesAsync(last, FlightDelays.FlightsLate);
        var flights = await ValuesAsync(last, FlightDelays.Flights);
        var counted = late.Count + windows.Sum(window => JsonDocument.Parse(window).RootElement.GetProperty("count").GetInt64());
        output.WriteLine($"{guarantee}: {flights.Count} flights, {counted} counted");
        return (flights, counted);
    }

    /// <summary>Waits for bytes in the flights' logs, and, so that there is something to repeat, for some more. It must see them as soon as they are there: no pause.</summary>
    private static void WaitForGrowth(string data)
    {
        var began = Stopwatch.GetTimestamp();
        var first = 0L;
        while (Stopwatch.GetElapsedTime(began) < Patience)
        {
            var bytes = FlightBytes(data);
            first = first == 0 ? bytes : first;
            if (bytes > first)
            {
                return;
            }
        }

        throw new TimeoutException($"Nothing was written to topic '{FlightDelays.Flights}' within {Patience}.");
    }

    private static long FlightBytes(string data)
    {
        var topics = Path.Combine(data, "logs", "logs", "topics");
        return !Directory.Exists(topics) ? 0 : new DirectoryInfo(topics).EnumerateDirectories($"{FlightDelays.Flights}.*")
            .SelectMany(topic => topic.EnumerateFiles("*.log", SearchOption.AllDirectories)).Sum(file => file.Length);
    }
}
