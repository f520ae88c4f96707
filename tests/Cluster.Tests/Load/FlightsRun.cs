using System.Text.Json;
using OrleansStreams.Clients;
using OrleansStreams.Processing;
using OrleansStreams.Silo.Samples;
using OrleansStreams.Topologies;

namespace OrleansStreams.Cluster.Tests.Load;

/// <summary>The sample application, which the silos start by themselves: its windows beside those of one sequential pass over the same flights.</summary>
internal sealed class FlightsRun(StreamsClient client)
{
    private const int Partitions = 4;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);
    private static readonly Lazy<(List<string> Windows, long Late)> Expected = new(PassSequentially);

    /// <summary>Waits until it has closed windows.</summary>
    public Task UnderWayAsync() => UntilAsync(status => status.State == StreamApplicationState.Running && status.Tasks.Sum(task => task.Commits) > 20, "get under way");

    /// <summary>That there was something left to do when the last fault came.</summary>
    public async Task IsRunningAsync() => (await client.Applications.GetStatusAsync(FlightDelays.Name)).State.ShouldBe(StreamApplicationState.Running, "the faults came too late for the application");

    /// <summary>Lets it go on as fast as it can, to its end, and compares: every window once and with the same result.</summary>
    public async Task<string> CheckAsync()
    {
        var parameters = (await client.Applications.GetStatusAsync(FlightDelays.Name)).Parameters;
        await client.Applications.StartAsync(FlightDelays.Name, parameters.SetItem(ApplicationParameters.Rate, "0"));
        await UntilAsync(status => status.State == StreamApplicationState.Completed, "complete");
        var windows = (await client.ReadAllAsync(FlightDelays.DelaysByAirport, Partitions)).Select(record => Line(record.Value)).Order(StringComparer.Ordinal).ToList();
        var late = (await client.ReadAllAsync(FlightDelays.FlightsLate, Partitions)).Count;
        var (expected, expectedLate) = Expected.Value;
        windows.Except(expected).Take(5).ShouldBeEmpty("windows that the sequential pass does not have");
        expected.Except(windows).Take(5).ShouldBeEmpty("windows of the sequential pass that are missing");
        windows.Count.ShouldBe(expected.Count, "windows stand there more than once");
        late.ShouldBe((int)expectedLate);
        return $"{windows.Count} windows and {late} late flights as in the sequential pass";
    }

    private static string Line(string json) => WindowFile.LineOf(JsonSerializer.Deserialize<DelayWindow>(json)!);

    private static (List<string> Windows, long Late) PassSequentially()
    {
        var folder = Directory.CreateTempSubdirectory("streams-flights-").FullName;
        try
        {
            var settings = new FlightDelaysSettings { Input = FlightDelaysSettings.ShippedInput, DataPath = folder };
            ArrivalOrder.Prepare(settings.Input, settings.Folder);
            var lines = new List<string>();
            var pass = new SequentialPass(Partitions, settings.OutOfOrderness, settings.Grace, window => lines.Add(WindowFile.LineOf(window)));
            pass.Run(settings.Input, ArrivalOrder.FileIn(settings.Folder));
            lines.Sort(StringComparer.Ordinal);
            return (lines, pass.Late);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private async Task UntilAsync(Func<StreamApplicationStatus, bool> holds, string what)
    {
        using var patience = new CancellationTokenSource(Patience);
        StreamApplicationStatus status;
        while (!holds(status = await client.Applications.GetStatusAsync(FlightDelays.Name)))
        {
            if (patience.IsCancellationRequested)
            {
                throw new TimeoutException($"the application did not {what} within {Patience}: {status.State}, {string.Join("; ", status.Tasks.Select(task => $"{task.TaskId} {task.State} {task.Commits} {task.Error}"))}");
            }

            await Task.Delay(Pause);
        }
    }
}
