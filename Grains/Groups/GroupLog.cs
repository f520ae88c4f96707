using Microsoft.Extensions.Logging;

namespace OrleansStreams.Groups;

/// <summary>The log messages of groups; event ids 3000 to 3099.</summary>
internal static partial class GroupLog
{
    [LoggerMessage(3000, LogLevel.Information, "Group {Group} is at generation {Generation} after a heartbeat of member {Member}; it has {Members} member(s)")]
    public static partial void GenerationRaised(this ILogger logger, string group, int generation, string member, int members);

    [LoggerMessage(3001, LogLevel.Information, "Member {Member} left group {Group}")]
    public static partial void MemberLeft(this ILogger logger, string group, string member);

    [LoggerMessage(3002, LogLevel.Warning, "Member {Member} of group {Group} sent no heartbeat for its session timeout and was removed")]
    public static partial void SessionExpired(this ILogger logger, string group, string member);

    [LoggerMessage(3003, LogLevel.Information, "Group {Group} was deleted")]
    public static partial void GroupDeleted(this ILogger logger, string group);

    [LoggerMessage(3004, LogLevel.Warning, "Group {Group} restarts: its state could not be written or is inconsistent")]
    public static partial void ActivationFailed(this ILogger logger, Exception exception, string group);

    [LoggerMessage(3005, LogLevel.Warning, "The periodic check of group {Group} failed; the next one tries again")]
    public static partial void TickFailed(this ILogger logger, Exception exception, string group);
}
