using System.Diagnostics;
using System.Globalization;
using OrleansStreams.ClientApp.Server;

namespace OrleansStreams.ClientApp.Records;

/// <summary>
/// A member of a consumer group over HTTP. What the group takes away is committed before it is given up; positions are committed only for records
/// that were written out.
/// </summary>
internal sealed class GroupMembership(StreamsServer server, string group, string topic, RecordFeed feed, string offsetWithoutCommit, bool follow)
{
    private static readonly TimeSpan CommitInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan FarewellTimeout = TimeSpan.FromSeconds(5);

    private readonly string memberId = $"cli-{Guid.NewGuid():N}";
    private readonly SortedSet<int> owned = [];
    private readonly SortedDictionary<int, long> uncommitted = [];
    private readonly Stopwatch sinceCommit = Stopwatch.StartNew();
    private readonly Stopwatch sinceHeartbeat = new();
    private TimeSpan heartbeatInterval;
    private int memberEpoch;
    private bool hasJoined;

    /// <summary>The partitions that are read now.</summary>
    public IReadOnlyCollection<int> Owned => owned;

    /// <summary>Heartbeats that were answered with no partition, since the last that had one.</summary>
    public int EmptyAnswers { get; private set; }

    /// <summary>How long the caller may wait until it must call again.</summary>
    public TimeSpan Patience => sinceHeartbeat.IsRunning && heartbeatInterval - sinceHeartbeat.Elapsed is { Ticks: > 0 } left ? left : TimeSpan.Zero;

    /// <summary>
    /// Keeps the membership up and takes over what the group assigns, when it is time to. While following, a server that is away for a moment is asked again, as often as
    /// a feed does; a member that the group has removed joins anew.
    /// </summary>
    public async Task KeepUpAsync(CancellationToken cancellation)
    {
        for (var attempt = 0; ; attempt++)
        {
            try
            {
                await KeepUpOnceAsync(cancellation);
                return;
            }
            catch (ServerException exception) when (memberEpoch > 0 && exception.Code is "UnknownMemberId" or "FencedMemberEpoch" && attempt < RecordFeed.RetriesMax)
            {
                await ForgetAsync();
            }
            catch (ServerException exception) when (follow && hasJoined && exception.IsRetriable && attempt < RecordFeed.RetriesMax)
            {
                await Task.Delay(RecordFeed.RetryPause, cancellation);
            }
        }
    }

    /// <summary>Notes that everything below an offset was written out.</summary>
    public void Advance(int partition, long nextOffset) => uncommitted[partition] = nextOffset;

    /// <summary>Commits and leaves, within a bounded time even when the command was told to stop.</summary>
    public async Task LeaveAsync()
    {
        using var timeout = new CancellationTokenSource(FarewellTimeout);
        await CommitAsync(timeout.Token);
        await server.DeleteAsync(StreamsServer.Path("groups", group, "members", memberId), timeout.Token);
    }

    private async Task KeepUpOnceAsync(CancellationToken cancellation)
    {
        if (sinceCommit.Elapsed >= CommitInterval)
        {
            await CommitAsync(cancellation);
        }

        if (Patience == TimeSpan.Zero)
        {
            await HeartbeatAsync(cancellation);
        }
    }

    /// <summary>The group has removed this member, for example after a pause: what was read since the last commit is somebody else's now.</summary>
    private async Task ForgetAsync()
    {
        uncommitted.Clear();
        foreach (var partition in owned.ToArray())
        {
            await GiveUpAsync(partition);
        }

        memberEpoch = 0;
        sinceHeartbeat.Reset();
    }

    private async Task HeartbeatAsync(CancellationToken cancellation)
    {
        var answer = await server.PostAsync(
            StreamsServer.Path("groups", group, "heartbeat"),
            new { memberId, memberEpoch, clientId = $"cli@{Environment.MachineName}", topics = new[] { topic }, owned = owned.Select(partition => new { topic, partition }) },
            cancellation);
        memberEpoch = (int)answer.Long("memberEpoch");
        hasJoined = true;
        heartbeatInterval = TimeSpan.FromMilliseconds(answer.Long("heartbeatIntervalMs"));
        sinceHeartbeat.Restart();
        var assigned = answer.Items("assigned").Where(one => one.Text("topic") == topic).Select(one => (int)one.Long("partition")).ToHashSet();
        EmptyAnswers = assigned.Count == 0 ? EmptyAnswers + 1 : 0;
        var revoked = owned.Where(partition => !assigned.Contains(partition)).ToArray();
        if (revoked.Length > 0)
        {
            await CommitAsync(cancellation);
            foreach (var partition in revoked)
            {
                await GiveUpAsync(partition);
            }

            // The others wait for this.
            sinceHeartbeat.Reset();
        }

        var added = assigned.Where(partition => !owned.Contains(partition)).Order().ToArray();
        if (added.Length > 0)
        {
            var committed = await CommittedAsync(cancellation);
            foreach (var partition in added)
            {
                owned.Add(partition);
                feed.Add(partition, committed.TryGetValue(partition, out var offset) ? offset.ToString(CultureInfo.InvariantCulture) : offsetWithoutCommit);
            }
        }
    }

    private async Task<Dictionary<int, long>> CommittedAsync(CancellationToken cancellation)
    {
        var answer = await server.GetAsync(StreamsServer.Path("groups", group, "offsets") + StreamsServer.Query(("topic", topic)), cancellation);
        return answer.Items("offsets").ToDictionary(one => (int)one.Long("partition"), one => one.Long("offset"));
    }

    private async Task GiveUpAsync(int partition)
    {
        owned.Remove(partition);
        await feed.RemoveAsync(partition);
    }

    private async Task CommitAsync(CancellationToken cancellation)
    {
        sinceCommit.Restart();
        if (uncommitted.Count == 0)
        {
            return;
        }

        var offsets = uncommitted.Select(position => new { topic, partition = position.Key, offset = position.Value }).ToArray();
        await server.PostAsync(StreamsServer.Path("groups", group, "offsets"), new { memberId, memberEpoch, offsets }, cancellation);
        uncommitted.Clear();
    }
}
