using System.CommandLine;
using System.Globalization;
using OrleansStreams.ClientApp.Server;

namespace OrleansStreams.ClientApp.Commands;

/// <summary>What is done to an application: pausing, resetting, dropping, letting another version take its place, and comparing the two.</summary>
internal static partial class AppsCommand
{
    private const string Places = "earliest, latest, an offset or timestamp:T";

    private static Command Pause() => Post("pause", "Pauses an application: it reads nothing, keeps its state and answers queries; it stays paused.");

    private static Command Resume() => Post("resume", "Lets a paused application go on.");

    private static Command Reset()
    {
        var to = new Option<string>("--to") { Description = $"Where its next start begins to read: {Places}.", HelpName = "PLACE", Required = true };
        var command = new Command("reset", "Deletes the state of a stopped application, to process anew; its topics of results keep what they have.") { App, to };
        command.OnRun(async (session, cancellation) =>
        {
            Show(session, await session.Server.PostAsync(StreamsServer.Path("apps", session.Get(App), "reset"), new { to = session.Get(to) }, cancellation));
            return CommandRunner.Fine;
        });
        return command;
    }

    private static Command Drop()
    {
        var command = new Command("drop", "Stops an application and deletes its state and internal topics; its inputs and results stay.") { App };
        command.OnRun(async (session, cancellation) =>
        {
            await session.Server.DeleteAsync(StreamsServer.Path("apps", session.Get(App)), cancellation);
            session.Terminal.WriteLine($"app '{session.Get(App)}' dropped");
            return CommandRunner.Fine;
        });
        return command;
    }

    private static Command Switch()
    {
        var alias = new Argument<string>("alias") { Description = "The name under which an application is queried." };
        var command = new Command("switch", "Lets an alias stand for an application that runs (APP@VERSION, for example): queries from then on are answered by it.") { alias, App };
        command.OnRun(async (session, cancellation) =>
        {
            var answer = await session.Server.PutAsync(StreamsServer.Path("aliases", session.Get(alias)), new { app = session.Get(App) }, cancellation);
            if (session.Json)
            {
                session.Terminal.WriteJson(answer);
            }
            else
            {
                session.Terminal.WriteLine($"'{answer.Text("alias")}' is '{answer.Text("app")}'");
            }

            return CommandRunner.Fine;
        });
        return command;
    }

    private static Command Reconcile()
    {
        var first = new Argument<string>("first") { Description = "An application or an alias." };
        var second = new Argument<string>("second") { Description = "The application or alias to compare it with." };
        var store = new Option<string>("--store") { Description = "The store.", Required = true };
        var withStore = new Option<string>("--with-store") { Description = "The second one's store; of the same name when absent.", HelpName = "STORE" };
        var from = new Option<string>("--from") { Description = "The first window start to compare: ISO 8601 or ms since 1970.", HelpName = "TIME" };
        var to = new Option<string>("--to") { Description = "The first window start not to compare.", HelpName = "TIME" };
        var limit = new Option<int?>("--limit") { Description = "The most differences to show; 1,000 when absent. All are counted.", HelpName = "N" };
        var command = new Command("reconcile", "Compares two results key by key, window by window; exit code 1 when they differ.") { first, second, store, withStore, from, to, limit };
        command.OnRun(async (session, cancellation) =>
        {
            var query = StreamsServer.Query(
                ("with", session.Get(second)),
                ("withStore", session.Get(withStore)),
                ("from", session.Get(from)),
                ("to", session.Get(to)),
                ("limit", session.Get(limit)?.ToString(CultureInfo.InvariantCulture)));
            var answer = await session.Server.GetAsync(StreamsServer.Path("apps", session.Get(first), "stores", session.Get(store)!, "differences") + query, cancellation);
            if (session.Json)
            {
                session.Terminal.WriteJson(answer);
            }
            else
            {
                session.Terminal.WriteLine(
                    $"{answer.Text("equal")} equal, {answer.Text("different")} different, {answer.Text("onlyInFirst")} only in {session.Get(first)}, {answer.Text("onlyInSecond")} only in {session.Get(second)}");
                var rows = answer.Items("differences")
                    .Select(row => new[] { row.Text("key"), row.Text("windowStart"), row.Text("windowEnd"), row.Text("kind"), row.Text("first"), row.Text("second") }).ToArray();
                if (rows.Length > 0)
                {
                    session.Terminal.WriteTable(["KEY", "WINDOW START", "WINDOW END", "DIFFERENCE", "FIRST", "SECOND"], rows);
                }
            }

            return answer.Long("different") + answer.Long("onlyInFirst") + answer.Long("onlyInSecond") == 0 ? CommandRunner.Fine : CommandRunner.Failed;
        });
        return command;
    }

    private static Command Post(string verb, string description)
    {
        var command = new Command(verb, description) { App };
        command.OnRun(async (session, cancellation) =>
        {
            Show(session, await session.Server.PostAsync(StreamsServer.Path("apps", session.Get(App), verb), new { }, cancellation));
            return CommandRunner.Fine;
        });
        return command;
    }
}
