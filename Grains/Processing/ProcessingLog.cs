using Microsoft.Extensions.Logging;

namespace OrleansStreams.Processing;

/// <summary>What applications and tasks log. Event ids 1200 to 1299.</summary>
internal static partial class ProcessingLog
{
    [LoggerMessage(1200, LogLevel.Information, "Task {Task} restored: {RecordsIn} records processed before, {StateEntries} state entries")]
    public static partial void TaskRestored(this ILogger logger, string task, long recordsIn, long stateEntries);

    [LoggerMessage(1201, LogLevel.Information, "Task {Task} completed: {RecordsIn} records in, {RecordsOut} out, {LateRecords} late")]
    public static partial void TaskCompleted(this ILogger logger, string task, long recordsIn, long recordsOut, long lateRecords);

    [LoggerMessage(1202, LogLevel.Error, "Task {Task} failed: {Reason}")]
    public static partial void TaskFailed(this ILogger logger, string task, string reason);

    [LoggerMessage(1203, LogLevel.Warning, "Task {Task} failed and is started again: {Reason}")]
    public static partial void TaskInterrupted(this ILogger logger, string task, string reason);

    [LoggerMessage(1204, LogLevel.Warning, "Task {Task} could not end cleanly; its next activation restores it")]
    public static partial void TaskStopFailed(this ILogger logger, Exception exception, string task);

    [LoggerMessage(1205, LogLevel.Warning, "Task {Task} tries a call again, attempt {Attempt}: {Reason}")]
    public static partial void CallRetried(this ILogger logger, string task, int attempt, string reason);

    [LoggerMessage(1206, LogLevel.Warning, "Task {Task} could not delete from its repartition topics what it has committed, and tries it later: {Reason}")]
    public static partial void PurgeFailed(this ILogger logger, string task, string reason);

    [LoggerMessage(1207, LogLevel.Warning, "Task {Task} has skipped {Count} records since its last commit, the last one: {Reason}")]
    public static partial void RecordsSkipped(this ILogger logger, string task, long count, string reason);

    [LoggerMessage(1208, LogLevel.Warning, "Task {Task} restores its state because a record has failed midway: {Reason}")]
    public static partial void RebuiltForPoisonRecord(this ILogger logger, string task, string reason);

    [LoggerMessage(1209, LogLevel.Warning, "Task {Task} could not write {Count} dead letters, whose records are skipped, the last one: {Reason}")]
    public static partial void DeadLettersDropped(this ILogger logger, string task, int count, string reason);

    [LoggerMessage(1210, LogLevel.Warning, "Application {Application} could not be brought up and is tried again: {Reason}")]
    public static partial void ApplicationNotUp(this ILogger logger, string application, string reason);

    [LoggerMessage(1211, LogLevel.Warning, "Application {Application}: task {Task} could not be started and is tried again: {Reason}")]
    public static partial void TaskNotStarted(this ILogger logger, string application, string task, string reason);

    [LoggerMessage(1213, LogLevel.Information, "Application {Application} dropped: its state and the topics that were made for it are deleted")]
    public static partial void ApplicationDropped(this ILogger logger, string application);

    [LoggerMessage(1214, LogLevel.Information, "Application {Application} reset: its state and the topics that were made for it are deleted, and its next start reads anew")]
    public static partial void ApplicationReset(this ILogger logger, string application);

    [LoggerMessage(1215, LogLevel.Warning, "Application {Application}: task {Task} could not be told to pause or to go on, and is told later: {Reason}")]
    public static partial void TaskNotTold(this ILogger logger, string application, string task, string reason);

    [LoggerMessage(1212, LogLevel.Warning, "Application {Application}: task {Task} could not be stopped and takes its new parameters when it starts again: {Reason}")]
    public static partial void TaskNotStopped(this ILogger logger, string application, string task, string reason);
}
