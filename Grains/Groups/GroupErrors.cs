using OrleansStreams.Log;

namespace OrleansStreams.Groups;

/// <summary>The errors of groups, each saying what to do.</summary>
internal static class GroupErrors
{
    public static StreamsException UnknownMember(string memberId) => new(
        StreamsErrorCode.UnknownMemberId,
        $"The group has no member '{memberId}': it left, its session expired, or it never joined. Give up all partitions and join again with epoch 0.",
        WriteOutcome.NotWritten);

    public static StreamsException Fenced(string memberId, int sent, int current) => new(
        StreamsErrorCode.FencedMemberEpoch,
        $"Member '{memberId}' sent epoch {sent}, the group has {current}: a newer incarnation joined, or the member missed too much. Give up all partitions and join again with epoch 0.",
        WriteOutcome.NotWritten);

    public static StreamsException NotOwned(string memberId, TopicPartition partition, int epoch) => new(
        StreamsErrorCode.IllegalGeneration,
        $"Member '{memberId}' does not own partition {partition} by epoch {epoch}, so nothing was committed. Stop reading it and take the next heartbeat's assignment.",
        WriteOutcome.NotWritten);

    public static StreamsException NonEmpty(int members) => new(
        StreamsErrorCode.NonEmptyGroup,
        $"The group has {members} member(s). Stop its consumers, or wait until their sessions expire, and try again.",
        WriteOutcome.NotWritten);

    public static StreamsException NotFound(string groupId) => new(
        StreamsErrorCode.GroupIdNotFound, $"There is no group '{groupId}'. List the groups to see which there are.");

    public static StreamsException UnknownTopic(string topic) => new(
        StreamsErrorCode.UnknownTopicOrPartition, $"There is no topic '{topic}'. Create it first, or take it out of the subscription.", WriteOutcome.NotWritten);

    public static StreamsException UnknownPartition(TopicPartition partition) => new(
        StreamsErrorCode.UnknownTopicOrPartition, $"There is no partition {partition}, so nothing was committed. Describe the topic to see its partitions.", WriteOutcome.NotWritten);

    public static StreamsException Invalid(string message) => new(StreamsErrorCode.InvalidRequest, message, WriteOutcome.NotWritten);

    public static StreamsException Session(TimeSpan asked, GroupOptions options) => new(
        StreamsErrorCode.InvalidSessionTimeout,
        $"A session timeout of {asked.TotalMilliseconds} ms is out of range; ask for {options.SessionTimeoutMin.TotalMilliseconds} to {options.SessionTimeoutMax.TotalMilliseconds} ms.",
        WriteOutcome.NotWritten);

    public static StreamsException Restarting(string groupId, Exception? cause = null) => new(
        StreamsErrorCode.CoordinatorNotAvailable, $"Group '{groupId}' restarts after a failure; try again.", WriteOutcome.NotWritten, cause);

    public static StreamsException WriteFailed(string groupId, Exception cause) => new(
        StreamsErrorCode.StorageError,
        $"The state of group '{groupId}' could not be written ({cause.Message}); whether it was is not known. Try again.",
        WriteOutcome.Unknown,
        cause);
}
