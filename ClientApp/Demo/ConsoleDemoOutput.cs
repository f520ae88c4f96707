using System.Globalization;
using OrleansStreams.Processing;
using OrleansStreams.Silo.Samples;
using Spectre.Console;

namespace OrleansStreams.ClientApp.Demo;

/// <summary>A progress bar, a table, a histogram.</summary>
internal sealed class ConsoleDemoOutput : IDemoOutput
{
    public ConsoleDemoOutput()
    {
        if (Console.IsOutputRedirected)
        {
            // A file or a pipe gets plain text, not folded to a terminal's width.
            AnsiConsole.Profile.Capabilities.Ansi = false;
            AnsiConsole.Profile.Capabilities.ColorSystem = ColorSystem.NoColors;
            AnsiConsole.Profile.Width = 200;
        }
    }

    public void Begin(string dataPath, FlightDelaysSettings run)
    {
        AnsiConsole.MarkupLineInterpolated($"[bold]flight-delays[/]: delays per airport in 1-hour windows of event time, exactly once, {run.Partitions} partitions");
        AnsiConsole.MarkupLineInterpolated($"[grey]input {run.Input}[/]");
        AnsiConsole.MarkupLineInterpolated($"[grey]data  {dataPath} (kill me at any moment: the same command goes on from there)[/]");
    }

    public Task ProgressAsync(long rows, Func<Action<StreamApplicationStatus>, Task> follow) => AnsiConsole.Progress()
        .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new ElapsedTimeColumn())
        .StartAsync(context =>
        {
            var source = context.AddTask("flights read", maxValue: Math.Max(1, rows));
            var windows = context.AddTask("flights in windows", maxValue: Math.Max(1, rows));
            return follow(status =>
            {
                source.Value = status.State == StreamApplicationState.Completed ? source.MaxValue : status.Tasks.Max(task => task.SourceRow);
                windows.Value = status.State == StreamApplicationState.Completed ? windows.MaxValue : status.Tasks.Where(task => task.SourceRow < 0).Sum(task => task.RecordsIn);
            });
        });

    public void End(DemoSummary summary, string dataPath, string? output, IReadOnlyList<string>? differences)
    {
        var table = new Table().Title("The ten worst airports").AddColumn("origin")
            .AddColumn(new TableColumn("flights").RightAligned()).AddColumn(new TableColumn("mean delay, min").RightAligned()).AddColumn(new TableColumn("max delay, min").RightAligned());
        foreach (var (origin, stats) in summary.Worst)
        {
            table.AddRow(Markup.Escape(origin), Number(stats.Count), stats.MeanDelay.ToString("0.0", CultureInfo.InvariantCulture), Number(stats.MaxDelay));
        }

        AnsiConsole.Write(table);
        AnsiConsole.MarkupLine("[bold]Delays[/] (flights)");
        var chart = new BarChart().Width(70);
        for (var bucket = 0; bucket < summary.Histogram.Count; bucket++)
        {
            chart.AddItem(DemoSummary.DelayBuckets[bucket].Name, summary.Histogram[bucket], bucket < 3 ? Color.Green : bucket < 5 ? Color.Yellow : Color.Red);
        }

        AnsiConsole.Write(chart);
        AnsiConsole.MarkupLineInterpolated(
            $"[bold]{Number(summary.Rows)}[/] flights, [bold]{Number(summary.Windows)}[/] windows, [bold]{Number(summary.Late)}[/] late flights (in topic {FlightDelays.FlightsLate})");
        AnsiConsole.MarkupLineInterpolated(
            $"{Number(summary.RowsThisRun)} flights in this run, {summary.Elapsed.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)} s, {Number((long)summary.RowsPerSecond)} flights/s through source, log and windows, {summary.PeakMemoryBytes >> 20} MB of memory at most");
        if (output is not null)
        {
            AnsiConsole.MarkupLineInterpolated($"every final window is in {output}");
        }

        WriteVerification(differences);
        AnsiConsole.MarkupLine("[bold]Where to look next[/]");
        AnsiConsole.WriteLine($"  dotnet run -c Release --project Silo -- --data \"{dataPath}\"      the same data behind an HTTP API");
        AnsiConsole.WriteLine("  dotnet run -c Release --project ClientApp -- consume delays-by-airport --from-beginning --max 5");
        AnsiConsole.WriteLine("  dotnet run -c Release --project ClientApp -- apps query flight-delays --store delays --key ORD");
    }

    private static void WriteVerification(IReadOnlyList<string>? differences)
    {
        if (differences is { Count: 0 })
        {
            AnsiConsole.MarkupLine("[green]verified[/]: one sequential pass over the input gives the same windows and the same late count");
        }
        else if (differences is not null)
        {
            AnsiConsole.MarkupLine("[red]NOT the same as one sequential pass over the input[/]:");
            foreach (var difference in differences)
            {
                AnsiConsole.WriteLine("  " + difference);
            }
        }
    }

    private static string Number(long value) => value.ToString("#,0", CultureInfo.InvariantCulture);
}
