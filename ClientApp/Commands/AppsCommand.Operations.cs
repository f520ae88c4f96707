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
