using Microsoft.Extensions.Logging;

namespace OrleansStreams.Storage.Postgres;

/// <summary>What PostgreSQL storage logs.</summary>
internal static partial class PostgresLogMessages
{
    [LoggerMessage(1101, LogLevel.Information, "PostgreSQL {Version}, schema {Schema}: synchronous_commit is '{ServerDefault}'; flush=always commits with '{Always}', flush=os with 'off'.")]
    public static partial void Connected(this ILogger logger, string version, string schema, string serverDefault, string always);

    [LoggerMessage(1102, LogLevel.Warning, "PostgreSQL runs with {Setting}=off: what was acknowledged may not survive a crash of its machine.")]
    public static partial void UnsafeServer(this ILogger logger, string setting);

    [LoggerMessage(1103, LogLevel.Information, "Schema {Schema}: migration {Migration} applied.")]
    public static partial void Migrated(this ILogger logger, string schema, string migration);

    [LoggerMessage(1104, LogLevel.Warning, "The session that keeps schema {Schema} to this process was lost ({Reason}); taking it again.")]
    public static partial void OwnershipInterrupted(this ILogger logger, string schema, string reason);

    [LoggerMessage(1105, LogLevel.Error, "Schema {Schema} was taken by {Holder} while this process's session was lost: stop one of the two.")]
    public static partial void OwnershipLost(this ILogger logger, string schema, string holder);

    [LoggerMessage(1106, LogLevel.Warning, "A connection was lost while {Logs} logs were written ({Reason}); asking what became of it.")]
    public static partial void AskingForRound(this ILogger logger, int logs, string reason);

    [LoggerMessage(1107, LogLevel.Information, "Resolved: {Written} logs were written, {NotWritten} were not and are written again, {Fenced} belong to a newer leader.")]
    public static partial void RoundResolved(this ILogger logger, int written, int notWritten, int fenced);

    [LoggerMessage(1108, LogLevel.Error, "Log {Log} failed and must be opened again.")]
    public static partial void LogFailed(this ILogger logger, LogId log, Exception exception);

    [LoggerMessage(1109, LogLevel.Warning, "Log {Log}: PostgreSQL has no room; {Appends} appends were refused.")]
    public static partial void DiskIsFull(this ILogger logger, LogId log, int appends);

    [LoggerMessage(1110, LogLevel.Warning, "Rows below the start of a log, or of a deleted one, could not be deleted; the next opening or start tries again.")]
    public static partial void RowsNotDeleted(this ILogger logger, Exception exception);

    [LoggerMessage(1111, LogLevel.Debug, "Log {Log} opened with leader epoch {LeaderEpoch}: offsets {Start} to {End} in {Segments} segments.")]
    public static partial void LogOpened(this ILogger logger, LogId log, int leaderEpoch, long start, long end, int segments);
}
