using System.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans;
using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Processing;
using OrleansStreams.Silo.Hosting;
using OrleansStreams.Silo.Samples;

namespace OrleansStreams.ClientApp.Demo;

/// <summary>Runs the demo: a silo in this process, the sample application, its results. Killed at any moment and started again, it resumes.</summary>
internal static class DemoRun
{
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(100);

    public static async Task<int> RunAsync(DemoOptions options, CancellationToken cancellationToken)
    {
        try
        {
            return await RunOrThrowAsync(options, cancellationToken);
        }
        catch (StreamsException error)
        {
            await Console.Error.WriteLineAsync($"demo: {error.Message}");
            return 1;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"demo: {error.Message}");
            return 1;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            await Console.Error.WriteLineAsync("demo: stopped; the same command with the same --data goes on from here");
            return 1;
        }
    }

    private static async Task<int> RunOrThrowAsync(DemoOptions options, CancellationToken cancellationToken)
    {
        var settings = new SiloSettings
        {
            DataPath = Path.GetFullPath(options.Data ?? SiloSettings.DefaultDataPath("demo")),

            // Nobody else comes to this silo, so that any ports do: a server may run beside it.
            Cluster = new ClusterSettings { SiloPort = 0, GatewayPort = 0 },

            // A guest on somebody's machine: a million rows take about the memory of a thousand. The tasks follow close behind the log's end anyway.
            TailCacheBytes = 8L * 1024 * 1024,
        };
        if (options.Fresh)
        {
            await EarlierRun.DeleteAsync(settings);
        }

        var run = new FlightDelaysSettings
        {
            Input = Path.GetFullPath(options.Input ?? FlightDelaysSettings.ShippedInput),
            DataPath = settings.DataPath,
            Partitions = options.Partitions,
            OutOfOrderness = options.OutOfOrderness,
            Grace = options.Grace,
            Rate = options.Rate,
        };
        IDemoOutput output = options.Json ? new JsonDemoOutput(Console.Out) : new ConsoleDemoOutput();
        using var host = BuildHost(settings);
        await host.OpenStorageAsync(cancellationToken);
        await host.StartAsync(cancellationToken);
        try
        {
            return await StreamAsync(host.Services, options, settings, run, output, cancellationToken);
        }
        finally
        {
            await host.StopAsync(CancellationToken.None);
        }
    }

    private static async Task<int> StreamAsync(
        IServiceProvider services, DemoOptions options, SiloSettings settings, FlightDelaysSettings run, IDemoOutput output, CancellationToken cancellationToken)
    {
        var grains = services.GetRequiredService<IGrainFactory>();
        var time = services.GetRequiredService<TimeProvider>();
        output.Begin(settings.DataPath, run);
        var application = grains.GetGrain<IStreamApplicationGrain>(FlightDelays.Name);
        var isNew = (await application.GetStatusAsync()).Parameters.IsEmpty;
        var input = await FlightDelaysRun.StartAsync(services.GetRequiredService<StreamsClient>(), run, cancellationToken);
        var (rowsBefore, last, elapsed) = await FollowAsync(application, time, input.Rows, isNew, output, cancellationToken);

        using var windows = new ExternalSort<DelayWindow>(WindowFile.Format, Path.Combine(run.Folder, "results"));
        var summary = await DemoSummary.CollectAsync(services.GetRequiredService<StreamsClient>(), run.Partitions, windows, cancellationToken);
        summary = summary with
        {
            Rows = input.Rows,
            Late = last.Tasks.Sum(task => task.LateRecords),
            RowsThisRun = last.Tasks.Max(task => task.SourceRow) - rowsBefore,
            Elapsed = elapsed,
        };
        if (options.Output is { } path)
        {
            WindowFile.Write(path, windows.Sorted());
        }

        var differences = options.Verify ? DemoVerification.Compare(run, windows, summary.Late) : null;
        output.End(summary with { PeakMemoryBytes = PeakMemory() }, settings.DataPath, options.Output, differences);
        return differences is { Count: > 0 } ? 1 : 0;
    }

    private static async Task<(long RowsBefore, StreamApplicationStatus Last, TimeSpan Elapsed)> FollowAsync(
        IStreamApplicationGrain application, TimeProvider time, long rows, bool isNew, IDemoOutput output, CancellationToken cancellationToken)
    {
        var began = time.GetTimestamp();
        var last = await application.GetStatusAsync();
        var rowsBefore = isNew ? 0L : -1L;
        await output.ProgressAsync(rows, async report =>
        {
            while (true)
            {
                last = await application.GetStatusAsync();
                report(last);

                // A resumed run counts from the first row that is seen; a task that still restores has none.
                rowsBefore = rowsBefore < 0 ? last.Tasks.Max(task => task.SourceRow) : rowsBefore;
                if (last.State == StreamApplicationState.Completed)
                {
                    return;
                }

                if (last.State == StreamApplicationState.Failed)
                {
                    var failed = last.Tasks.First(task => task.Error is not null);
                    throw new StreamsException(StreamsErrorCode.InvalidInput, $"task {failed.TaskId} failed: {failed.Error}");
                }

                await Task.Delay(PollInterval, time, cancellationToken);
            }
        });
        return (rowsBefore, last, time.GetElapsedTime(began));
    }

    private static long PeakMemory()
    {
        using var self = Process.GetCurrentProcess();
        return self.PeakWorkingSet64;
    }

    private static IHost BuildHost(SiloSettings settings)
    {
        // Without the silo's own appsettings.json, which is for a server.
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true, ContentRootPath = AppContext.BaseDirectory });
        builder.Logging.ClearProviders().AddSimpleConsole().SetMinimumLevel(LogLevel.Error);
        builder.Logging.Services.Configure<Microsoft.Extensions.Logging.Console.ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        builder.AddStreamsSilo(settings);
        return builder.Build();
    }
}
