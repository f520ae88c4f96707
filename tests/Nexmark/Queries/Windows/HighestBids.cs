using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Windows;

/// <summary>A bid without its texts.</summary>
internal readonly record struct PlainBid(long Price, long Time, long Auction, long Bidder)
{
    /// <summary>The higher one first; of equal prices the earlier one.</summary>
    public static IComparer<PlainBid> HighestFirst { get; } = Comparer<PlainBid>.Create((one, other) => Compare(other, one));

    /// <summary>The higher one; of equal prices the first, so that it is one bid whatever the order.</summary>
    public static PlainBid Higher(PlainBid one, PlainBid other) => Compare(one, other) >= 0 ? one : other;

    private static int Compare(in PlainBid one, in PlainBid other) =>
        one.Price != other.Price ? one.Price.CompareTo(other.Price)
        : one.Time != other.Time ? other.Time.CompareTo(one.Time)
        : one.Auction != other.Auction ? other.Auction.CompareTo(one.Auction) : other.Bidder.CompareTo(one.Bidder);
}

/// <summary>Query 7: the highest bid of every ten seconds. First by auction, where the bids are, then over the few that are left.</summary>
internal sealed class HighestBids() : NexmarkQuery<long, PlainBid>("q7", EventParts.Bids, Serdes.Int64, NumbersSerde<PlainBid>.Instance)
{
    private const long WindowMs = 10_000;

    protected override KStream<long, PlainBid> Results(KStream<long, Event> events)
    {
        var serde = NumbersSerde<PlainBid>.Instance;
        return events
            .Bids()
            .MapValues((_, bid) => new PlainBid(bid.Price, bid.Time, bid.Auction, bid.Bidder))
            .GroupByKey()
            .WindowedBy(TumblingWindows.Of(TenSeconds))
            .Reduce(PlainBid.Higher, Materialized.As("by-auction", serde).WithRetention(TimeSpan.Zero))
            .Map((window, bid) => (window.WindowStartMs, bid))
            .GroupByKey(Grouped.With(Serdes.Int64, serde).WithName("windows"))
            .WindowedBy(TumblingWindows.Of(TenSeconds))
            .Reduce(PlainBid.Higher, Materialized.As("highest", serde))
            .Map((window, bid) => (window.Key, bid));
    }

    protected override IEnumerable<(long Key, PlainBid Value)> Model(IReadOnlyList<Event> events) =>
        from bid in events.Bids()
        group bid by bid.Time / 10_000 * 10_000 into window
        let highest = window.OrderByDescending(bid => bid.Price).ThenBy(bid => bid.Time).ThenBy(bid => bid.Auction).ThenBy(bid => bid.Bidder).First()
        select (window.Key, new PlainBid(highest.Price, highest.Time, highest.Auction, highest.Bidder));

    protected override HandLoop<long, PlainBid> Loop() => new ByHand();

    private sealed class ByHand : HandLoop<long, PlainBid>
    {
        private PlainBid _highest;
        private long _end = long.MinValue;

        protected override void Take(in Event item, long time)
        {
            if (item.Kind != EventKind.Bid)
            {
                return;
            }

            var bid = new PlainBid(item.Bid.Price, time, item.Bid.Auction, item.Bid.Bidder);
            if (time >= _end)
            {
                End();
                _highest = bid;
                _end = (time / WindowMs * WindowMs) + WindowMs;
            }
            else
            {
                _highest = PlainBid.Higher(_highest, bid);
            }
        }

        protected override void End()
        {
            if (_end != long.MinValue)
            {
                Emit(_end - 1, _end - WindowMs, _highest);
            }
        }
    }
}
