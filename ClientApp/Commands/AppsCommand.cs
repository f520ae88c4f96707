using System.CommandLine;
using OrleansStreams.ClientApp.Server;

namespace OrleansStreams.ClientApp.Commands;

/// <summary>apps list | status | query | start | stop.</summary>
internal static class AppsCommand
{
    private static readonly Argument<string> App = new("app") { Description = "The application's name." };

    public static Command Create() => new("apps", "Lists, starts, stops and queries stream applications.")
    {
        SharedOptions.All,
        List(),
        Status(),
        Query(),
        Start(),
        Stop(),
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

    private static Command Query()
    {
        var store = new Option<string>("--store") { Description = "The state store.", Required = true };
        var key = new Option<string>("--key") { Description = "The key.", Required = true };
        var from = new Option<string>("--from") { Description = "The first window start wanted: ISO 8601 or ms since 1970.", HelpName = "TIME" };
        var to = new Option<string>("--to") { Description = "The first window start not wanted: ISO 8601 or ms since 1970.", HelpName = "TIME" };
        var limit = new Option<int?>("--limit") { Description = "The most entries to show.", HelpName = "N" };
        var command = new Command("query", "Reads an application's committed state by key and window.") { App, store, key, from, to, limit };
        command.OnRun(async (session, cancellation) =>
        {
            var query = StreamsServer.Query(
                ("key", session.Get(key)),
                ("from", session.Get(from)),
                ("to", session.Get(to)),
                ("limit", session.Get(limit)?.ToString(System.Globalization.CultureInfo.InvariantCulture)));
            var answer = await session.Server.GetAsync(StreamsServer.Path("apps", session.Get(App), "stores", session.Get(store)!) + query, cancellation);
            if (session.Json)
            {
                session.Terminal.WriteJson(answer);
                return CommandRunner.Fine;
            }

            session.Terminal.WriteTable(
                ["WINDOW START", "WINDOW END", "VALUE", "FINAL"],
                [.. answer.Items("entries").Select(entry => new[]
                {
                    entry.Text("windowStart"), entry.Text("windowEnd"), entry.Text("value"), entry.GetProperty("isFinal").GetBoolean() ? "yes" : "no",
                })]);
            return CommandRunner.Fine;
        });
        return command;
    }

    private static Command Start()
    {
        var parameters = new Option<string[]>("--param") { Description = "A parameter of the application. May stand several times.", HelpName = "NAME=VALUE" };
        var command = new Command("start", "Starts an application; it starts again with every silo.") { App, parameters };
        command.OnRun(async (session, cancellation) =>
        {
            Show(session, await session.Server.PostAsync(
                StreamsServer.Path("apps", session.Get(App), "start"), new { parameters = SharedOptions.Pairs("--param", session.Get(parameters)) }, cancellation));
            return CommandRunner.Fine;
        });
        return command;
    }

    private static Command Stop()
    {
        var command = new Command("stop", "Stops an application after a last commit; it stays stopped.") { App };
        command.OnRun(async (session, cancellation) =>
        {
            Show(session, await session.Server.PostAsync(StreamsServer.Path("apps", session.Get(App), "stop"), new { }, cancellation));
            return CommandRunner.Fine;
        });
        return command;
    }

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
            ["TASK", "STATE", "WATERMARK", "LAG", "RECORDS/S", "IN", "OUT", "LATE", "STATE ENTRIES", "ERROR"],
            [.. app.Items("tasks").Select(task => new[]
            {
                task.Text("taskId"), task.Text("state"), task.Text("watermark"), task.Text("lag"), task.Rounded("recordsPerSecond"), task.Text("recordsIn"),
                task.Text("recordsOut"), task.Text("lateRecords"), task.Text("stateEntries"), CommandRunner.OneLine(task.Text("error")),
            })],
            3, 4, 5, 6, 7, 8);
    }
}
