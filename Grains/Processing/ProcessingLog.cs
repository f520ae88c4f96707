using Microsoft.Extensions.Logging;

namespace OrleansStreams.Processing;

/// <summary>Processing's log messages.</summary>
internal static partial class ProcessingLog
{
    [LoggerMessage(300, LogLevel.Information, "Task {Task}: {From} -> {To}")]
    public static partial void Transition(ILogger logger, string task, StreamTaskState from, StreamTaskState to);

    [LoggerMessage(301, LogLevel.Warning, "Task {Task} starts again after a passing failure: {Reason}")]
    public static partial void Restarting(ILogger logger, string task, string reason);

    [LoggerMessage(302, LogLevel.Error, "Task {Task} failed: {Reason}")]
    public static partial void Failed(ILogger logger, string task, string reason, Exception exception);

    [LoggerMessage(303, LogLevel.Information, "Task {Task} was fenced: another activation has opened its journal")]
    public static partial void Fenced(ILogger logger, string task);

    [LoggerMessage(304, LogLevel.Warning, "Application {Application} could not be supervised this time: {Reason}")]
    public static partial void SupervisionFailed(ILogger logger, string application, string reason);
}
