using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace OrleansStreams.Cluster.Failover;

/// <summary>
/// The calls of this client that wait for an answer. When a silo is lost, those that it may have been carrying out or passing on are given up.
/// <para>
/// Why: an Orleans client finds out nothing about a call once it is sent. When its gateway dies, only what was still queued for that connection is sent again;
/// when the silo behind a living gateway dies, the gateway keeps no track of the calls it passed on. Either way the caller waits for the whole response
/// timeout. (Calls between grains are better off: each silo breaks its own calls to a silo that was declared dead.) Nor does a client know which silo a call
/// went to: grains are found by the gateway. So all calls that were under way at a loss are given up unless they are answered a moment later, as most are
/// that were on their way to a living silo. Giving one up wrongly costs a repetition: producers are told the original offset, readers read again, and all else
/// says that its outcome is unknown, as after a timeout.
/// </para>
/// <para>
/// A limit for each attempt instead would need no notice of losses, but every limit short enough for a failover would, in a cluster whose disks are behind,
/// send everything twice when it can stand it least.
/// </para>
/// </summary>
internal sealed partial class CallsUnderWay : IDisposable
{
    // After a loss, the calls of at least an age are given up several times. The first time is the one that counts; the others are for calls that went out
    // after the notice, by a gateway that had not learnt of the loss yet, and are for older ones only, so that partitions which are opened on another silo
    // meanwhile are not sent everything again.
    private static readonly (int AfterMs, int AgeMs)[] Rounds = [(100, 100), (1_000, 500), (2_500, 1_000), (5_000, 2_000)];

    private readonly TimeProvider time;
    private readonly ILogger<CallsUnderWay> logger;
    private readonly ITimer timer;
    private readonly Lock gate = new();
    private readonly LinkedList<Call> calls = new();
    private int round = Rounds.Length;

    public CallsUnderWay(TimeProvider time, ILogger<CallsUnderWay> logger)
    {
        this.time = time;
        this.logger = logger;
        timer = time.CreateTimer(static state => ((CallsUnderWay)state!).GiveUp(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Makes a call.</summary>
    /// <exception cref="SiloUnavailableException">It was given up; whether it was carried out is not known.</exception>
    public async Task RunAsync(Func<Task> send)
    {
        var began = time.GetTimestamp();
        var answer = send();
        if (!answer.IsCompleted)
        {
            var call = new Call(began);
            LinkedListNode<Call> entry;
            lock (gate)
            {
                entry = calls.AddLast(call);
            }

            await Task.WhenAny(answer, call.GivenUp);
            lock (gate)
            {
                calls.Remove(entry);
            }

            if (!answer.IsCompleted)
            {
                // Whatever comes of it, nobody is there to be told.
                _ = answer.ContinueWith(static late => late.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
                throw new SiloUnavailableException("a silo was lost while this call was under way; whether the call was carried out is not known");
            }
        }

        await answer;
    }

    /// <summary>A silo or a gateway is gone: the rounds begin, anew when some are over already.</summary>
    public void SiloLost()
    {
        lock (gate)
        {
            if (round != 0)
            {
                round = 0;
                timer.Change(TimeSpan.FromMilliseconds(Rounds[0].AfterMs), Timeout.InfiniteTimeSpan);
            }
        }
    }

    public void Dispose() => timer.Dispose();

    private void GiveUp()
    {
        List<Call> lost = [];
        lock (gate)
        {
            var age = TimeSpan.FromMilliseconds(Rounds[round].AgeMs);

            // In the order in which they began.
            for (var entry = calls.First; entry is not null && time.GetElapsedTime(entry.Value.Began) >= age; entry = entry.Next)
            {
                lost.Add(entry.Value);
            }

            round++;
            if (round < Rounds.Length)
            {
                timer.Change(TimeSpan.FromMilliseconds(Rounds[round].AfterMs - Rounds[round - 1].AfterMs), Timeout.InfiniteTimeSpan);
            }
        }

        foreach (var call in lost)
        {
            call.GiveUp();
        }

        if (lost.Count > 0)
        {
            LogGivenUp(lost.Count);
        }
    }

    [LoggerMessage(EventId = 6001, Level = LogLevel.Information, Message = "A silo was lost: {Count} call(s) that it may have had are given up, for their callers to try again")]
    private partial void LogGivenUp(int count);

    private sealed class Call(long began)
    {
        private readonly TaskCompletionSource given = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public long Began => began;

        public Task GivenUp => given.Task;

        public void GiveUp() => given.TrySetResult();
    }
}
