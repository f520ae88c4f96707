namespace OrleansStreams.ClientApp.Commands;

/// <summary>Ends a command with a message for people and an exit code: 1 failed, 2 used wrongly.</summary>
internal sealed class CommandFailedException(string message, int exitCode = CommandRunner.Failed) : Exception(message)
{
    public int ExitCode { get; } = exitCode;

    public static CommandFailedException Usage(string message) => new(message, CommandRunner.UsedWrongly);
}
