using OrleansStreams.Groups;
using OrleansStreams.Log;

namespace OrleansStreams.Streaming;

/// <summary>
/// Where a queue is resumed: a committed offset of a consumer group without members. It follows what subscriptions have completed, one interval late, and
/// never goes back while this agent lives: an agent doesn't see a subscription before it has said from where on it wants events, and what arrives in
/// between must not be passed.
/// </summary>
internal sealed class QueueCheckpoint(IConsumerGroupGrain group, TopicPartition partition, LogStreamOptions options, TimeProvider time, ILogger logger)
{
    private Task _commit = Task.CompletedTask;
    private long _committed = -1;
    private long _seen = -1;
    private long _seenAt;

    /// <summary>The committed offset, or null when there is none.</summary>
    /// <exception cref="StreamsException">What the group answers.</exception>
    public async Task<long?> ReadAsync()
    {
        var offsets = await group.FetchOffsetsAsync([partition]);
        if (offsets.IsEmpty)
        {
            return null;
        }

        _committed = offsets[0].Offset;
        return _committed;
    }

    /// <summary>Forgets what was committed: the log is another, or lost what was there.</summary>
    public void StartOver() => _committed = _seen = -1;

    /// <summary>Takes note of what is completed, and commits now and then, in the background.</summary>
    public void Observe(long completed)
    {
        if (time.GetElapsedTime(_seenAt).TotalMilliseconds < options.CheckpointIntervalMs && _seen >= 0)
        {
            return;
        }

        var safe = Math.Min(_seen, completed);
        _seen = completed;
        _seenAt = time.GetTimestamp();
        if (safe > _committed && _commit.IsCompleted)
        {
            _commit = CommitAsync(safe);
        }
    }

    /// <summary>Commits what is completed, for the last time.</summary>
    public async Task CloseAsync(long completed)
    {
        await _commit;
        if (completed > _committed)
        {
            await CommitAsync(completed);
        }
    }

    private async Task CommitAsync(long offset)
    {
        try
        {
            await group.CommitOffsetsAsync(new CommitOffsetsRequest("", -1, [new CommittedOffset(partition, offset)]));
            _committed = offset;
        }
        catch (Exception error)
        {
            logger.CommitFailed(error, partition, offset);
        }
    }
}
