using System.CommandLine;
using System.CommandLine.Invocation;
using OrleansStreams.ClientApp.Output;
using OrleansStreams.ClientApp.Server;
using OrleansStreams.Errors;

namespace OrleansStreams.ClientApp.Commands;

/// <summary>Runs the command line: parse errors end with 2, failures with 1 and one line on stderr, never with a stack trace.</summary>
internal static class CommandRunner
{
    public const int Fine = 0;
    public const int Failed = 1;
    public const int UsedWrongly = 2;

    /// <summary>How long a command has to finish what it is at after Ctrl-C or SIGTERM: to commit, to leave its group.</summary>
    private static readonly TimeSpan TerminationTimeout = TimeSpan.FromSeconds(15);

    public static async Task<int> RunAsync(RootCommand root, string[] args)
    {
        var result = root.Parse(args);
        if (result.Action is ParseErrorAction)
        {
            Complain($"{OneLine(string.Join(' ', result.Errors.Select(error => error.Message)))} See: {PathOf(result)} --help");
            return UsedWrongly;
        }

        try
        {
            return await result.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = TerminationTimeout });
        }
        catch (Exception exception)
        {
            return Report(exception);
        }
    }

    /// <summary>Gives a command its action, which runs with a connection to the server and an output.</summary>
    public static void OnRun(this Command command, Func<CommandSession, CancellationToken, Task<int>> action) => command.SetAction(async (result, cancellation) =>
    {
        try
        {
            await using var transport = SharedOptions.Transport(result);
            await using var terminal = new Terminal();
            var code = await action(new CommandSession(result, new StreamsServer(transport), terminal, result.GetValue(SharedOptions.Json)), cancellation);
            terminal.Flush();
            return code;
        }
        catch (Exception exception)
        {
            return Report(exception);
        }
    });

    public static void Complain(string message) => Console.Error.WriteLine($"error: {message}");

    public static string OneLine(string text) => string.Join(' ', text.Split(['\r', '\n'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));

    private static int Report(Exception exception)
    {
        switch (exception)
        {
            case BrokenPipeException:
                // The reader of our output has seen enough, as in "consume ... | head".
                return Fine;
            case OperationCanceledException:
                Complain("stopped before the end.");
                return Failed;
            case CommandFailedException failed:
                Complain(OneLine(failed.Message));
                return failed.ExitCode;
            case ServerException or StreamsException:
                Complain(OneLine(exception.Message));
                return Failed;
            case IOException or UnauthorizedAccessException:
                Complain(OneLine(exception.Message));
                return Failed;
            default:
                Complain(OneLine($"{exception.GetType().Name}: {exception.Message} This is a fault of the program; please report it."));
                return Failed;
        }
    }

    private static string PathOf(ParseResult result)
    {
        var names = new List<string>();
        for (var command = result.CommandResult; command is not null; command = command.Parent as System.CommandLine.Parsing.CommandResult)
        {
            names.Insert(0, command.Command.Name);
        }

        return string.Join(' ', names);
    }
}
