using System.CommandLine;
using System.Globalization;
using OrleansStreams.ClientApp.Server;

namespace OrleansStreams.ClientApp.Commands;

/// <summary>apps list | status | topology | query | start | stop | pause | resume | reset | drop | switch | reconcile.</summary>
internal static partial class AppsCommand
{
    private static readonly Argument<string> App = new("app") { Description = "The application's name." };

    public static Command Create() => new("apps", "Lists, starts, stops, queries and compares stream applications.")
    {
        SharedOptions.All,
        List(),
        Status(),
        Topology(),
        Query(),
        Start(),
        Stop(),
        Pause(),
        Resume(),
        Reset(),
        Drop(),
        Switch(),
        Reconcile(),
    };

    private static Command List()
    {
        var command = new Command("list", "Lists the applications that the server knows.");
        command.OnRun(async (session, cancellation) =>
        {
            var answer = await session.Server.GetAsync("apps", cancellation);
            if (session.Json)
            {
                session.Terminal.WriteJson(answer);
            }
            else
            {
                session.Terminal.WriteTable(
                    ["APP", "STATE", "TASKS"], [.. answer.Items("apps").Select(app => new[] { app.Text("name"), app.Text("state"), app.Text("tasks") })], 2);
                foreach (var alias in answer.Items("aliases"))
                {
                    session.Terminal.WriteLine($"'{alias.Text("alias")}' is '{alias.Text("app")}'");
                }
            }

            return CommandRunner.Fine;
        });
        return command;
    }

    private static Command Status()
    {
        var command = new Command("status", "Shows an application's tasks, lag, watermark and throughput.") { App };
        command.OnRun(async (session, cancellation) =>
        {
            Show(session, await session.Server.GetAsync(StreamsServer.Path("apps", session.Get(App)), cancellation));
            return CommandRunner.Fine;
        });
        return command;
    }

    private static Command Start()
    {
        var parameters = new Option<string[]>("--param") { Description = "A parameter of the application. May stand several times.", HelpName = "NAME=VALUE" };
        var from = new Option<string>("--from-offsets") { Description = $"Where an application without state begins to read: {Places}; earliest when absent.", HelpName = "PLACE" };
        var to = new Option<string>("--to-offsets") { Description = $"Where the inputs of an application without state end, taken now: it processes what stands before, closes all windows and completes. {Places}.", HelpName = "PLACE" };
        var command = new Command("start", "Starts an application (APP, or a version of it beside it: APP@VERSION); it starts again with every silo.") { App, parameters, from, to };
        command.OnRun(async (session, cancellation) =>
        {
            Show(session, await session.Server.PostAsync(
                StreamsServer.Path("apps", session.Get(App), "start"), new { parameters = SharedOptions.Pairs("--param", session.Get(parameters)), from = session.Get(from), to = session.Get(to) }, cancellation));
            return CommandRunner.Fine;
        });
        return command;
    }

    private static Command Stop() => Post("stop", "Stops an application after a last commit; it stays stopped.");

    private static void Show(CommandSession session, System.Text.Json.JsonElement app)
    {
        if (session.Json)
        {
            session.Terminal.WriteJson(app);
            return;
        }

        session.Terminal.WriteLine($"app '{app.Text("name")}': {app.Text("state")}");
        session.Terminal.WriteLine($"  watermark {app.Text("watermark")}, lag {app.Text("lag")}, {app.Rounded("recordsPerSecond")} records/s");
        session.Terminal.WriteLine($"  {app.Text("recordsIn")} records in, {app.Text("recordsOut")} out, {app.Text("lateRecords")} late");
        session.Terminal.WriteTable(
            ["TASK", "STATE", "WATERMARK", "BEHIND CLOCK", "LAG", "RECORDS/S", "IN", "OUT", "LATE", "SKIPPED", "DEAD LETTERS", "STATE ENTRIES", "STATE BYTES", "COMMIT MS", "ERROR"],
            [.. app.Items("tasks").Select(task => new[]
            {
                task.Text("taskId"), StateOf(task), task.Text("watermark"), Behind(task), task.Text("lag"), task.Rounded("recordsPerSecond"), task.Text("recordsIn"),
                task.Text("recordsOut"), task.Text("lateRecords"), task.Text("skippedRecords"), task.Text("deadLetters"), task.Text("stateEntries"), task.Text("stateBytes"), task.Rounded("commitMsMedian"), CommandRunner.OneLine(task.Text("error")),
            })],
            3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13);
    }

    private static string StateOf(System.Text.Json.JsonElement task) =>
        task.GetProperty("isPaused").GetBoolean() && task.Text("state") == "Running" ? "Paused" : task.GetProperty("willRestart").GetBoolean() ? task.Text("state") + ", restarts" : task.Text("state");

    /// <summary>How far the watermark is behind the wall clock.</summary>
    private static string Behind(System.Text.Json.JsonElement task) => task.Text("watermarkLagMs") is var text and not JsonReading.Nothing && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var ms)
        ? TimeSpan.FromMilliseconds(ms).ToString(ms < 86_400_000 ? @"hh\:mm\:ss\.f" : @"d\.hh\:mm\:ss", CultureInfo.InvariantCulture)
        : JsonReading.Nothing;
}
