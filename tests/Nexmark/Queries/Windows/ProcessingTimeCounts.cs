using System.Runtime.InteropServices;
using OrleansStreams.Nexmark.Events;
using OrleansStreams.Nexmark.Runs;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Windows;

/// <summary>Query 12: how often a person bids within ten seconds of the wall clock, which goes on as <see cref="NexmarkInput.ArrivalOf"/> says.</summary>
internal sealed class ProcessingTimeCounts() : NexmarkQuery<long, BidCount>("q12", EventParts.Bids, Serdes.Int64, NumbersSerde<BidCount>.Instance)
{
    private const long WindowMs = 10_000;

    protected override Consumed<long, Event> Consumed => base.Consumed.WithProcessingTime();

    protected override KStream<long, BidCount> Results(KStream<long, Event> events) => events
        .Bids()
        .Map((_, bid) => (bid.Bidder, 1))
        .GroupByKey(Grouped.With(Serdes.Int64, Serdes.Int32).WithName("bidders"))
        .WindowedBy(TumblingWindows.Of(TenSeconds))
        .Count(Materialized.As("counts", Serdes.Int64).WithRetention(TimeSpan.Zero))
        .Map((window, count) => (window.Key, new BidCount(window.WindowStartMs, window.WindowEndMs, count)));

    protected override IEnumerable<(long Key, BidCount Value)> Model(IReadOnlyList<Event> events) =>
        from numbered in events.Select((item, id) => (Item: item, Start: NexmarkInput.ArrivalOf(id) / 10_000 * 10_000))
        where numbered.Item.Kind == EventKind.Bid
        group numbered by (numbered.Item.Bid.Bidder, numbered.Start) into window
        select (window.Key.Bidder, new BidCount(window.Key.Start, window.Key.Start + 10_000, window.Count()));

    protected override HandLoop<long, BidCount> Loop() => new ByHand();

    private sealed class ByHand : HandLoop<long, BidCount>
    {
        private readonly Dictionary<long, long> _counts = [];
        private long _end;

        protected override void Take(in Event item, long time)
        {
            if (item.Kind != EventKind.Bid)
            {
                return;
            }

            if (ClockMs >= _end)
            {
                End();
                _end = (ClockMs / WindowMs * WindowMs) + WindowMs;
            }

            CollectionsMarshal.GetValueRefOrAddDefault(_counts, item.Bid.Bidder, out _)++;
        }

        protected override void End()
        {
            foreach (var (bidder, count) in _counts)
            {
                Emit(_end - 1, bidder, new BidCount(_end - WindowMs, _end, count));
            }

            _counts.Clear();
        }
    }
}
