using Microsoft.Extensions.Logging;

namespace OrleansStreams.Storage.Files;

/// <summary>What file storage logs.</summary>
internal static partial class FileLogMessages
{
    [LoggerMessage(1001, LogLevel.Warning, "Log {Log}: {Bytes} bytes of a write that was never acknowledged were cut from segment {Segment} at {Position}.")]
    public static partial void TailCut(this ILogger logger, LogId log, long bytes, long segment, long position);

    [LoggerMessage(1002, LogLevel.Information, "Log {Log}: the index of segment {Segment} was missing or damaged and is made anew.")]
    public static partial void IndexRebuilt(this ILogger logger, LogId log, long segment);

    [LoggerMessage(1003, LogLevel.Error, "Log {Log} failed and must be opened again.")]
    public static partial void LogFailed(this ILogger logger, LogId log, Exception exception);

    [LoggerMessage(1004, LogLevel.Warning, "Log {Log}: the index of segment {Segment} could not be written; the next opening makes it anew.")]
    public static partial void IndexNotWritten(this ILogger logger, LogId log, long segment, Exception exception);

    [LoggerMessage(1005, LogLevel.Warning, "Log {Log}: segment {Segment} lies below the log's start but could not be deleted; the next opening tries again.")]
    public static partial void SegmentNotDeleted(this ILogger logger, LogId log, long segment, Exception exception);

    [LoggerMessage(1006, LogLevel.Warning, "Log {Log}: the disk is full; {Appends} appends were refused.")]
    public static partial void DiskIsFull(this ILogger logger, LogId log, int appends);

    [LoggerMessage(1007, LogLevel.Warning, "The folder {Folder} of a deleted log could not be removed; the next start tries again.")]
    public static partial void FolderNotDeleted(this ILogger logger, string folder, Exception exception);

    [LoggerMessage(1008, LogLevel.Debug, "Log {Log} opened with leader epoch {LeaderEpoch}: offsets {Start} to {End} in {Segments} segments.")]
    public static partial void LogOpened(this ILogger logger, LogId log, int leaderEpoch, long start, long end, int segments);

    [LoggerMessage(1009, LogLevel.Warning, "The flush journal held {Entries} entries of {Logs} logs, which were written into their segments again: the last run did not end in order.")]
    public static partial void JournalReplayed(this ILogger logger, int entries, int logs);

    [LoggerMessage(1010, LogLevel.Error, "The flush journal failed; logs are flushed one by one until the next start.")]
    public static partial void JournalFailed(this ILogger logger, Exception exception);

    [LoggerMessage(1011, LogLevel.Error, "A frame in the middle of the flush journal {File} is damaged: acknowledged records may be missing from the ends of logs. Check the disk; clients that keep offsets tell which.")]
    public static partial void JournalDamaged(this ILogger logger, string file);
}
