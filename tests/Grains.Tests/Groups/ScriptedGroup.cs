using System.Collections.Immutable;
using System.Threading.Channels;
using OrleansStreams.Log;

namespace OrleansStreams.Groups;

/// <summary>A group whose answers a test gives by hand.</summary>
internal sealed class ScriptedGroup : IConsumerGroupGrain
{
    private readonly Channel<Call> _calls = Channel.CreateUnbounded<Call>();
    private readonly Lock _gate = new();
    private readonly List<CommitOffsetsRequest> _commits = [];
    private Call? _last;
    private GroupAssignment? _resting;

    /// <summary>The commits that came, all of which are accepted.</summary>
    public IReadOnlyList<CommitOffsetsRequest> Commits
    {
        get
        {
            lock (_gate)
            {
                return [.. _commits];
            }
        }
    }

    /// <summary>How often a member left.</summary>
    public int Leaves { get; private set; }

    /// <summary>What is committed; consumers ask for it when they take a partition.</summary>
    public ImmutableArray<CommittedOffset> Offsets { get; set; } = [];

    /// <summary>Runs while a consumer asks for committed offsets.</summary>
    public Action? FetchingOffsets { get; set; }

    public async Task<Call> NextAsync() => _last = await _calls.Reader.ReadAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(30));

    /// <summary>Answers, and wants the next heartbeat at once: no clock is needed for it.</summary>
    public void Answer(int epoch, ImmutableArray<TopicPartition> assigned) => _last!.Promise.SetResult(new GroupAssignment(epoch, 1, assigned, 0));

    public void Refuse(Exception e) => _last!.Promise.SetException(e);

    /// <summary>From now on each heartbeat is answered with this, also those that wait; none is wanted for an hour.</summary>
    public void Rest(int epoch, ImmutableArray<TopicPartition> assigned)
    {
        lock (_gate)
        {
            _resting = new GroupAssignment(epoch, 1, assigned, 3_600_000);
        }

        _last?.Promise.TrySetResult(_resting);
        while (_calls.Reader.TryRead(out var call))
        {
            call.Promise.TrySetResult(_resting);
        }
    }

    public Task<GroupAssignment> HeartbeatAsync(GroupHeartbeat heartbeat)
    {
        lock (_gate)
        {
            if (_resting is not null)
            {
                return Task.FromResult(_resting);
            }

            var call = new Call(heartbeat, new TaskCompletionSource<GroupAssignment>(TaskCreationOptions.RunContinuationsAsynchronously));
            _calls.Writer.TryWrite(call);
            return call.Promise.Task;
        }
    }

    public Task LeaveAsync(string memberId)
    {
        Leaves++;
        return Task.CompletedTask;
    }

    public Task CommitOffsetsAsync(CommitOffsetsRequest request)
    {
        lock (_gate)
        {
            _commits.Add(request);
        }

        return Task.CompletedTask;
    }

    public Task<ImmutableArray<CommittedOffset>> FetchOffsetsAsync(ImmutableArray<TopicPartition> partitions)
    {
        FetchingOffsets?.Invoke();
        return Task.FromResult(Offsets);
    }

    public Task<GroupDescription> DescribeAsync() => throw new NotSupportedException("no test describes");

    public Task ResetOffsetsAsync(ImmutableArray<CommittedOffset> offsets) => throw new NotSupportedException("no test resets");

    public Task DeleteAsync() => throw new NotSupportedException("no test deletes");

    internal sealed record Call(GroupHeartbeat Heartbeat, TaskCompletionSource<GroupAssignment> Promise);
}
