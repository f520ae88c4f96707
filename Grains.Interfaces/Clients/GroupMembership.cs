using System.Collections.Immutable;
using System.Runtime.ExceptionServices;
using OrleansStreams.Groups;
using OrleansStreams.Log;

namespace OrleansStreams.Clients;

/// <summary>
/// A member's side of a group: heartbeats in the background, and what the group last said. The consumer applies an assignment at a moment of its own
/// choosing, between two records; until it has given a partition up, heartbeats go on naming it as owned, and the group gives it to nobody else.
/// For the same reason heartbeats name what was assigned and not taken yet: the consumer may take it at any moment. And a member that
/// got no answer for a session timeout, counted from when it sent the last heartbeat that was answered, has lost everything, told or not.
/// </summary>
internal sealed class GroupMembership(
    IConsumerGroupGrain group, string memberId, ImmutableArray<string> topics, ConsumerOptions options, ClientRetry retry, Action wake) : IDisposable
{
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lock _gate = new();
    private ImmutableArray<TopicPartition> _owned = [];
    private ImmutableArray<TopicPartition> _assigned = [];
    private TaskCompletionSource _now = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _loop = Task.CompletedTask;
    private long _lastPollSeenAt = retry.Time.GetTimestamp();
    private int _polls;
    private int _pollsSeen;
    private long _answeredSentAt;
    private int _memberEpoch;
    private bool _hasNews;
    private bool _lost;
    private bool _tooSlow;
    private Exception? _failure;
    private Task _heartbeat = Task.CompletedTask;

    public string MemberId => memberId;

    /// <summary>Set when the assignment may differ from what is owned; read before every record, so it is one volatile read.</summary>
    public bool HasNews => Volatile.Read(ref _hasNews);

    /// <summary>Whether a failure ended the membership: <see cref="TakeNews"/> throws it, and only another membership goes on.</summary>
    public bool HasFailed
    {
        get
        {
            lock (_gate)
            {
                return _failure is not null;
            }
        }
    }

    public void Start() => _loop = RunAsync();

    /// <summary>The application asked for a record: it is alive. Called for every record, so it only counts; each heartbeat looks whether the count has moved.</summary>
    public void Polled()
    {
        Volatile.Write(ref _polls, _polls + 1);
        if (_tooSlow)
        {
            lock (_gate)
            {
                _tooSlow = false;
                _now.TrySetResult();
            }
        }
    }

    /// <summary>
    /// What the group allows now. <c>Lost</c>: the group removed this member, so everything owned is gone and cannot be committed; drop it before anything that
    /// may fail, for it is said once.
    /// </summary>
    /// <exception cref="Exception">The failure that ended the membership, each time.</exception>
    public (ImmutableArray<TopicPartition> Assigned, bool Lost) TakeNews()
    {
        lock (_gate)
        {
            if (_failure is not null)
            {
                ExceptionDispatchInfo.Throw(_failure);
            }

            SetNews(false);
            var lost = _lost;
            _lost = false;
            _owned = Nameable();
            return (_assigned, lost);
        }
    }

    /// <summary>What was taken could not be applied, or not all of it: it is to be taken again.</summary>
    public void KeepNews()
    {
        lock (_gate)
        {
            SetNews(true);
        }
    }

    /// <summary>The epoch that a commit carries.</summary>
    /// <exception cref="StreamsException">FencedMemberEpoch while a loss waits to be taken: this member may have joined again and own a partition anew, and with
    /// the new epoch the group would accept what was read before the loss, behind the back of whoever owned the partition meanwhile.</exception>
    public int EpochForCommit()
    {
        lock (_gate)
        {
            return !_lost ? _memberEpoch : throw new StreamsException(
                StreamsErrorCode.FencedMemberEpoch,
                $"member {memberId} has lost its partitions, and others may have committed since; ask for the next record to go on with what the group assigns",
                WriteOutcome.NotWritten);
        }
    }

    /// <summary>Tells what is owned from now on; the next heartbeat goes out at once.</summary>
    public void SetOwned(ImmutableArray<TopicPartition> owned)
    {
        lock (_gate)
        {
            // After a loss since TakeNews this is old: the consumer is about to drop all of it.
            if (_lost || owned.SequenceEqual(_owned))
            {
                return;
            }

            _owned = owned;
            _now.TrySetResult();
        }
    }

    /// <summary>Leaves the group.</summary>
    public async Task LeaveAsync(CancellationToken cancellationToken)
    {
        await _stopping.CancelAsync();
        await _loop;
        await HeartbeatUnderWayAsync(cancellationToken);
        await retry.RunAsync(() => group.LeaveAsync(memberId), options.RequestTimeout, cancellationToken);
    }

    public void Dispose() => _stopping.Cancel();

    /// <summary>
    /// Waits for the heartbeat that the loop left alone: a join that came after the leave would make a member that nobody is, and hold its partitions for a
    /// session. Hence no longer than a session either.
    /// </summary>
    private async Task HeartbeatUnderWayAsync(CancellationToken cancellationToken)
    {
        var atMost = TimeSpan.FromMilliseconds(Math.Min(options.RequestTimeoutMs, options.SessionTimeoutMs));
        try
        {
            await _heartbeat.WaitAsync(atMost, retry.Time, cancellationToken);
        }
        catch (Exception) when (!cancellationToken.IsCancellationRequested)
        {
            // What came of it matters no more.
        }
    }

    private async Task RunAsync()
    {
        try
        {
            while (!_stopping.IsCancellationRequested)
            {
                var interval = await BeatAsync();
                Task now;
                lock (_gate)
                {
                    now = _now.Task;
                }

                try
                {
                    await now.WaitAsync(TimeSpan.FromMilliseconds(interval), retry.Time, _stopping.Token);
                }
                catch (TimeoutException)
                {
                    // The next heartbeat is due.
                }
            }
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            // Left or disposed.
        }
        catch (Exception error)
        {
            lock (_gate)
            {
                _failure = error;
                SetNews(true);
            }

            wake();
        }
    }

    /// <summary>One heartbeat; answers the ms until the next.</summary>
    private async Task<int> BeatAsync()
    {
        var polls = Volatile.Read(ref _polls);
        if (polls != _pollsSeen)
        {
            _pollsSeen = polls;
            _lastPollSeenAt = retry.Time.GetTimestamp();
        }
        else if (retry.Time.GetElapsedTime(_lastPollSeenAt) > TimeSpan.FromMilliseconds(options.MaxPollIntervalMs))
        {
            return await StepAsideAsync();
        }

        GroupHeartbeat heartbeat;
        lock (_gate)
        {
            if (_now.Task.IsCompleted)
            {
                _now = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            heartbeat = new GroupHeartbeat(memberId, _memberEpoch, options.ClientId, topics, Nameable(), options.SessionTimeoutMs, options.Assignor);
        }

        var session = TimeSpan.FromMilliseconds(options.SessionTimeoutMs);
        var left = heartbeat.MemberEpoch == 0 ? Timeout.InfiniteTimeSpan : session - retry.Time.GetElapsedTime(_answeredSentAt);
        using var lease = new CancellationTokenSource(left == Timeout.InfiniteTimeSpan || left > TimeSpan.Zero ? left : TimeSpan.Zero, retry.Time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token, lease.Token);
        try
        {
            var sentAt = 0L;
            var call = retry.RunAsync(
                () =>
                {
                    sentAt = retry.Time.GetTimestamp();
                    return group.HeartbeatAsync(heartbeat);
                },
                options.RequestTimeout,
                stop.Token);
            _heartbeat = call;
            var answer = await call.WaitAsync(stop.Token);
            if (retry.Time.GetElapsedTime(sentAt) >= session)
            {
                Lose();
                return 0;
            }

            _answeredSentAt = sentAt;
            Apply(answer);
            return answer.HeartbeatIntervalMs;
        }
        catch (OperationCanceledException) when (lease.IsCancellationRequested && !_stopping.IsCancellationRequested)
        {
            Lose();
            return 0;
        }
        catch (StreamsException error) when (error.Code is StreamsErrorCode.UnknownMemberId or StreamsErrorCode.FencedMemberEpoch)
        {
            Lose();
            return 0;
        }
    }

    /// <summary>The application has taken too long for a record: others get its partitions until it asks again.</summary>
    private async Task<int> StepAsideAsync()
    {
        lock (_gate)
        {
            _tooSlow = true;
            _now = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        Lose();
        await retry.RunAsync(() => group.LeaveAsync(memberId), options.RequestTimeout, _stopping.Token);
        return options.MaxPollIntervalMs;
    }

    private void Apply(GroupAssignment answer)
    {
        lock (_gate)
        {
            _memberEpoch = answer.MemberEpoch;
            if (answer.Assigned.SequenceEqual(_assigned) && !_lost)
            {
                return;
            }

            _assigned = answer.Assigned;
            SetNews(true);
        }

        wake();
    }

    private void Lose()
    {
        lock (_gate)
        {
            _memberEpoch = 0;
            _owned = [];
            _assigned = [];
            _lost = true;
            SetNews(true);
        }

        wake();
    }

    /// <summary>What is owned, and what may be at any moment.</summary>
    private ImmutableArray<TopicPartition> Nameable() => [.. _owned.Union(_assigned)];

    private void SetNews(bool value) => Volatile.Write(ref _hasNews, value);
}
