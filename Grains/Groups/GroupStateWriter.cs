namespace OrleansStreams.Groups;

/// <summary>
/// Makes a group's changes durable. One write runs at a time and covers every change made until it began; all who wait for those changes share it
/// (as the log's group commit does), so the rate of commits is not bound by the latency of the storage.
/// </summary>
/// <remarks>
/// Used from a grain's turns only, so no locks. After a failed write nobody knows what is stored, hence all waiters fail, and so does every
/// later call: the activation must end, and the next one reads what is there.
/// </remarks>
internal sealed class GroupStateWriter(IPersistentState<GroupState> stored, GroupStateMachine machine, Func<TimeSpan> now)
{
    private Task? _write;
    private long _durable;

    /// <summary>When the last successful write began, or null. Until then this activation surely had no successor.</summary>
    public TimeSpan? LastProof { get; private set; }

    /// <summary>The first failure, or null.</summary>
    public Exception? Failure { get; private set; }

    /// <summary>Completes when all changes made before the call are durable; at once when they are.</summary>
    public async Task DurableAsync()
    {
        var wanted = machine.Version;
        while (_durable < wanted)
        {
            if (Failure is not null)
            {
                throw Failure;
            }

            if (_write is null || _write.IsCompleted)
            {
                _write = WriteAsync();
            }

            await _write;
        }
    }

    private async Task WriteAsync()
    {
        var version = machine.Version;
        var began = now();
        try
        {
            stored.State = machine.Snapshot();
            await stored.WriteStateAsync();
        }
        catch (Exception e)
        {
            Failure = e;
            throw;
        }

        _durable = version;
        LastProof = began;
    }
}
