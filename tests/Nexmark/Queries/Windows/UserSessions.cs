using System.Runtime.InteropServices;
using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Windows;

/// <summary>Bids of a person within a window.</summary>
/// <param name="Start">The window's first ms.</param>
/// <param name="End">Behind its last ms.</param>
/// <param name="Bids">How many.</param>
internal readonly record struct BidCount(long Start, long End, long Bids);

/// <summary>Query 11: how often a person bids without a pause of more than ten seconds.</summary>
internal sealed class UserSessions() : NexmarkQuery<long, BidCount>("q11", EventParts.Bids, Serdes.Int64, NumbersSerde<BidCount>.Instance)
{
    private const long GapMs = 10_000;

    protected override KStream<long, BidCount> Results(KStream<long, Event> events) => events
        .Bids()
        .Map((_, bid) => (bid.Bidder, 1))
        .GroupByKey(Grouped.With(Serdes.Int64, Serdes.Int32).WithName("bidders"))
        .WindowedBy(SessionWindows.With(TenSeconds))
        .Count(Materialized.As("sessions", Serdes.Int64).WithRetention(TimeSpan.Zero))
        .Map((window, count) => (window.Key, new BidCount(window.WindowStartMs, window.WindowEndMs, count)));

    protected override IEnumerable<(long Key, BidCount Value)> Model(IReadOnlyList<Event> events)
    {
        foreach (var bidder in events.Bids().GroupBy(bid => bid.Bidder, bid => bid.Time))
        {
            var times = bidder.Order().ToArray();
            var first = 0;
            for (var next = 1; next <= times.Length; next++)
            {
                if (next == times.Length || times[next] - times[next - 1] > 10_000)
                {
                    yield return (bidder.Key, new BidCount(times[first], times[next - 1] + 1, next - first));
                    first = next;
                }
            }
        }
    }

    protected override HandLoop<long, BidCount> Loop() => new ByHand();

    /// <summary>A session is told when the next one of its person begins, or at the end.</summary>
    private sealed class ByHand : HandLoop<long, BidCount>
    {
        private readonly Dictionary<long, BidCount> _sessions = [];

        protected override void Take(in Event item, long time)
        {
            if (item.Kind != EventKind.Bid)
            {
                return;
            }

            ref var session = ref CollectionsMarshal.GetValueRefOrAddDefault(_sessions, item.Bid.Bidder, out var isKnown);
            if (isKnown && time <= session.End - 1 + GapMs)
            {
                session = new BidCount(session.Start, time + 1, session.Bids + 1);
                return;
            }

            if (isKnown)
            {
                Emit(session.End - 1, item.Bid.Bidder, session);
            }

            session = new BidCount(time, time + 1, 1);
        }

        protected override void End()
        {
            foreach (var (bidder, session) in _sessions)
            {
                Emit(session.End - 1, bidder, session);
            }
        }
    }
}
