using System.Collections.Immutable;
using System.Runtime.ExceptionServices;
using System.Threading.Channels;
using OrleansStreams.Groups;
using OrleansStreams.Log;

namespace OrleansStreams.Clients;

/// <summary>The part of a consumer that does not depend on its types: partitions, positions, fetchers, commits, membership.</summary>
internal sealed class ConsumerPartitions(IGrainFactory grains, ClientRetry retry, ConsumerOptions options) : IAsyncDisposable
{
    private static readonly FetchedChunk Wake = new(null, null, 0, null);

    private readonly Channel<FetchedChunk> _chunks = Channel.CreateUnbounded<FetchedChunk>(new UnboundedChannelOptions { SingleReader = true });
    private readonly SortedDictionary<TopicPartition, OwnedPartition> _owned = [];
    private ImmutableArray<(TopicPartition Partition, StartPosition Start)> _toAssign = [];
    private ImmutableArray<string> _topics = [];
    private GroupMembership? _membership;
    private string? _memberId;
    private Task<bool>? _wait;
    private long _lastCommit = retry.Time.GetTimestamp();
    private bool _disposed;

    public IReadOnlyList<TopicPartition> Owned => [.. _owned.Keys];

    public Func<IReadOnlyList<TopicPartition>, Task>? Revoking { get; set; }

    private bool AutoCommits => options.EnableAutoCommit && options.GroupId is not null;

    public void Subscribe(ImmutableArray<string> topics)
    {
        ThrowIfChosen();
        Check(options.GroupId is { Length: > 0 }, "set ConsumerOptions.GroupId to subscribe");
        Check(topics.Length > 0, "name at least one topic");
        _topics = topics;
    }

    public void Assign((TopicPartition Partition, StartPosition Start)[] partitions)
    {
        ThrowIfChosen();
        Check(partitions.Length > 0, "name at least one partition");
        Check(partitions.DistinctBy(partition => partition.Partition).Count() == partitions.Length, "name each partition once");
        Check(options.GroupId is not null || partitions.All(partition => !partition.Start.IsCommitted), "set ConsumerOptions.GroupId to begin at committed offsets");
        _toAssign = [.. partitions];
    }

    /// <summary>Joins the group on the first call, and anew after a failure that ended the membership.</summary>
    public void Start()
    {
        Check(!_disposed, "the consumer is closed; make another one");
        Check(!_topics.IsEmpty || !_toAssign.IsEmpty || _owned.Count > 0, "call Subscribe or Assign first");
        if (_membership is { HasFailed: true } failed)
        {
            // Without heartbeats its partitions have gone to others, or will.
            failed.Dispose();
            _membership = null;
            Drop([.. _owned.Keys]);
        }

        if (!_topics.IsEmpty && _membership is null)
        {
            // Under the same name, so that what the group still keeps for a membership that failed need not run out first.
            _memberId ??= retry.NewId();
            var group = grains.Group(options.GroupId!);
            _membership = new GroupMembership(group, _memberId, _topics, options, retry, () => _chunks.Writer.TryWrite(Wake));
            _membership.Start();
        }
    }

    /// <summary>Waits for the next chunk of a partition that is still read; applies news from the group and commits meanwhile.</summary>
    public async Task<FetchedChunk> NextChunkAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            await AttendAsync(cancellationToken);
            if (!_chunks.Reader.TryRead(out var chunk))
            {
                await WaitAsync(cancellationToken);
            }
            else if (chunk.From is { IsCurrent: true })
            {
                if (chunk.Error is null)
                {
                    // Read the next while the application works on this one.
                    chunk.From.MakeRoom();
                    return chunk;
                }

                await RecoverAsync(chunk, cancellationToken);
            }
            else
            {
                // Read ahead in vain, before a seek or a revocation: nobody has seen it.
                chunk.Release();
            }
        }
    }

    /// <summary>
    /// A record is finished. False when something else is to be attended to before the next: the chunk counts no more, or the group has news
    /// (<see cref="FinishedAsync"/>). Runs once a record, so it is a few loads and a store, without a clock.
    /// </summary>
    public bool TryFinish(FetchedChunk chunk, long position)
    {
        var fetcher = chunk.From!;
        if (!fetcher.IsCurrent)
        {
            return false;
        }

        fetcher.Owned.Position = position;
        if (_membership is not { } membership)
        {
            return true;
        }

        membership.Polled();
        return !membership.HasNews;
    }

    /// <summary>A record is finished; applies what the group has said.</summary>
    public ValueTask FinishedAsync(FetchedChunk chunk, long position, CancellationToken cancellationToken) =>
        !TryFinish(chunk, position) && _membership is { HasNews: true } ? new ValueTask(ApplyNewsAsync(cancellationToken)) : ValueTask.CompletedTask;

    /// <summary>All of a chunk is finished.</summary>
    public static void Finished(FetchedChunk chunk)
    {
        if (chunk.From!.IsCurrent)
        {
            chunk.From.Owned.Position = chunk.NextOffset;
        }
    }

    /// <summary>The loop ended in the middle of a chunk: the next loop reads the rest again.</summary>
    public void Abandon(FetchedChunk? chunk)
    {
        if (chunk?.From is { IsCurrent: true } fetcher)
        {
            Restart(fetcher.Owned);
        }
    }

    public long PositionOf(TopicPartition partition) => Known(partition).Position;

    public void Seek(TopicPartition partition, long offset)
    {
        var owned = Known(partition);
        if (offset < 0)
        {
            throw new StreamsException(StreamsErrorCode.OffsetOutOfRange, $"offset {offset} is negative; offsets begin at 0");
        }

        owned.Position = offset;
        Restart(owned);
    }

    public void Pause(TopicPartition partition, bool paused)
    {
        var owned = Known(partition);
        if (owned.Paused != paused)
        {
            owned.Paused = paused;
            Restart(owned);
        }
    }

    public ImmutableArray<CommittedOffset> Uncommitted() =>
        [.. _owned.Values.Where(owned => owned.Position != owned.Committed).Select(owned => new CommittedOffset(owned.Partition, owned.Position))];

    public async Task CommitAsync(ImmutableArray<CommittedOffset> offsets, CancellationToken cancellationToken)
    {
        Check(options.GroupId is not null, "set ConsumerOptions.GroupId to commit");
        _lastCommit = retry.Time.GetTimestamp();
        if (offsets.IsEmpty)
        {
            return;
        }

        var group = grains.Group(options.GroupId!);
        var request = new CommitOffsetsRequest(_membership?.MemberId ?? string.Empty, _membership?.EpochForCommit() ?? -1, offsets);
        await retry.RunAsync(() => group.CommitOffsetsAsync(request), options.RequestTimeout, cancellationToken);
        foreach (var offset in offsets)
        {
            if (_owned.TryGetValue(offset.Partition, out var owned))
            {
                owned.Committed = offset.Offset;
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        try
        {
            if (AutoCommits)
            {
                await CommitOwnedAsync(Uncommitted(), CancellationToken.None);
            }
        }
        finally
        {
            foreach (var owned in _owned.Values)
            {
                owned.Fetcher?.Dispose();
            }

            if (_membership is not null)
            {
                await _membership.LeaveAsync(CancellationToken.None);
                _membership.Dispose();
            }
        }
    }

    private async Task AttendAsync(CancellationToken cancellationToken)
    {
        if (!_toAssign.IsEmpty)
        {
            // A failure leaves the rest for the next loop.
            await StartPartitionsAsync([.. _toAssign.Where(assign => !_owned.ContainsKey(assign.Partition))], cancellationToken);
            _toAssign = [];
        }

        _membership?.Polled();
        if (_membership is { HasNews: true })
        {
            await ApplyNewsAsync(cancellationToken);
        }

        if (AutoCommits && UntilCommit() <= TimeSpan.Zero)
        {
            await CommitOwnedAsync(Uncommitted(), cancellationToken);
        }
    }

    private TimeSpan UntilCommit() => TimeSpan.FromMilliseconds(options.AutoCommitIntervalMs) - retry.Time.GetElapsedTime(_lastCommit);

    private async Task WaitAsync(CancellationToken cancellationToken)
    {
        // Waiting for records is no sign of a slow application: come back often enough to say so, and for the next automatic commit.
        var atMost = TimeSpan.FromMilliseconds(Math.Max(1, options.MaxPollIntervalMs / 3.0));
        if (AutoCommits && UntilCommit() is var commit && commit < atMost)
        {
            atMost = commit > TimeSpan.Zero ? commit : TimeSpan.Zero;
        }

        // The channel has a single waiting reader: a wait that timed out is taken up again.
        _wait ??= _chunks.Reader.WaitToReadAsync(CancellationToken.None).AsTask();
        try
        {
            await _wait.WaitAsync(atMost, retry.Time, cancellationToken);
            _wait = null;
        }
        catch (TimeoutException)
        {
            // Something else is due.
        }
    }

    private async Task ApplyNewsAsync(CancellationToken cancellationToken)
    {
        var membership = _membership!;
        var (assigned, lost) = membership.TakeNews();
        if (lost)
        {
            Drop([.. _owned.Keys]);
        }

        try
        {
            await GiveUpAsync([.. _owned.Keys.Except(assigned)], cancellationToken);
            await StartPartitionsAsync([.. assigned.Except(_owned.Keys).Select(partition => (partition, StartPosition.Committed))], cancellationToken);
        }
        catch
        {
            // What is done is done, the next loop does the rest.
            membership.KeepNews();
            throw;
        }
        finally
        {
            membership.SetOwned([.. _owned.Keys]);
        }
    }

    /// <summary>Gives up what the group wants back and waits for.</summary>
    private async Task GiveUpAsync(ImmutableArray<TopicPartition> revoked, CancellationToken cancellationToken)
    {
        if (revoked.IsEmpty)
        {
            return;
        }

        if (Revoking is { } revoking)
        {
            await revoking(revoked);
        }

        if (AutoCommits)
        {
            await CommitOwnedAsync([.. Uncommitted().Where(offset => revoked.Contains(offset.Partition))], cancellationToken);
        }

        Drop(revoked);
    }

    private void Drop(ImmutableArray<TopicPartition> partitions)
    {
        foreach (var partition in partitions)
        {
            _owned[partition].Fetcher?.Dispose();
            _owned.Remove(partition);
        }
    }

    /// <summary>Commits on the consumer's own account. When the group has given the partitions to others, nothing is to be committed any more: they read again from the last commit.</summary>
    private async Task CommitOwnedAsync(ImmutableArray<CommittedOffset> offsets, CancellationToken cancellationToken)
    {
        try
        {
            await CommitAsync(offsets, cancellationToken);
        }
        catch (StreamsException error) when (error.Code is StreamsErrorCode.FencedMemberEpoch or StreamsErrorCode.UnknownMemberId or StreamsErrorCode.IllegalGeneration)
        {
            // The next heartbeat brings the loss of the partitions.
        }
    }

    private async Task StartPartitionsAsync(ImmutableArray<(TopicPartition Partition, StartPosition Start)> added, CancellationToken cancellationToken)
    {
        if (added.IsEmpty)
        {
            return;
        }

        var committed = ImmutableDictionary<TopicPartition, long>.Empty;
        if (added.Any(partition => partition.Start.IsCommitted))
        {
            var group = grains.Group(options.GroupId!);
            ImmutableArray<TopicPartition> wanted = [.. added.Select(partition => partition.Partition)];
            var offsets = await retry.RunAsync(() => group.FetchOffsetsAsync(wanted), options.RequestTimeout, cancellationToken);
            committed = offsets.ToImmutableDictionary(offset => offset.Partition, offset => offset.Offset);
        }

        foreach (var (partition, start) in added)
        {
            var owned = new OwnedPartition(partition);
            if (start.IsCommitted && committed.TryGetValue(partition, out var offset))
            {
                owned.Position = owned.Committed = offset;
            }
            else
            {
                owned.Position = await ResolveAsync(partition, start.IsCommitted ? ByPolicy(partition) : start, cancellationToken);
            }

            _owned[partition] = owned;
            Restart(owned);
        }
    }

    private StartPosition ByPolicy(TopicPartition partition) => options.AutoOffsetReset switch
    {
        AutoOffsetReset.Earliest => StartPosition.Earliest,
        AutoOffsetReset.Latest => StartPosition.Latest,
        _ => throw new StreamsException(StreamsErrorCode.OffsetOutOfRange, $"group {options.GroupId} has no valid committed offset for {partition}, and AutoOffsetReset is Error; seek, or commit an offset first"),
    };

    private async Task<long> ResolveAsync(TopicPartition partition, StartPosition start, CancellationToken cancellationToken)
    {
        var grain = grains.GetGrain<IPartitionGrain>(partition.GrainKey);
        if (start.AtTimestamp is { } timestamp)
        {
            return (await retry.RunAsync(() => grain.OffsetForTimestampAsync(timestamp), options.RequestTimeout, cancellationToken)).Offset;
        }

        if (!start.IsEarliest && !start.IsLatest)
        {
            return start.Offset;
        }

        var offsets = await retry.RunAsync(grain.GetOffsetsAsync, options.RequestTimeout, cancellationToken);
        return start.IsEarliest ? offsets.LogStartOffset : offsets.HighWatermark;
    }

    /// <summary>A fetcher failed for good. Out of range: begins anew where the policy says; anything else is the application's to know.</summary>
    private async Task RecoverAsync(FetchedChunk chunk, CancellationToken cancellationToken)
    {
        var owned = chunk.From!.Owned;
        if (chunk.Error is StreamsException { Code: StreamsErrorCode.OffsetOutOfRange } && options.AutoOffsetReset != AutoOffsetReset.Error)
        {
            try
            {
                owned.Position = await ResolveAsync(owned.Partition, ByPolicy(owned.Partition), cancellationToken);
            }
            finally
            {
                // Without a position the next fetcher fails as this one did, and the next loop looks again.
                Restart(owned);
            }

            return;
        }

        // The next loop tries again from here.
        Restart(owned);
        ExceptionDispatchInfo.Throw(chunk.Error!);
    }

    private void Restart(OwnedPartition owned)
    {
        owned.Fetcher?.Dispose();
        owned.Fetcher = null;
        if (!owned.Paused && !_disposed)
        {
            owned.Fetcher = new PartitionFetcher(owned, grains.GetGrain<IPartitionGrain>(owned.Partition.GrainKey), options, retry, _chunks.Writer);
            _ = owned.Fetcher.RunAsync(owned.Position);
        }
    }

    private OwnedPartition Known(TopicPartition partition) => _owned.TryGetValue(partition, out var owned)
        ? owned
        : throw new StreamsException(StreamsErrorCode.InvalidRequest, $"{partition} is not read by this consumer; assign it, or wait until the group does");

    private void ThrowIfChosen() => Check(_topics.IsEmpty && _toAssign.IsEmpty && _owned.Count == 0, "the consumer has its topics or partitions already; make another one");

    private static void Check(bool ok, string message)
    {
        if (!ok)
        {
            throw new StreamsException(StreamsErrorCode.InvalidRequest, message);
        }
    }
}
