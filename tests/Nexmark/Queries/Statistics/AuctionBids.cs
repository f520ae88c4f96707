using System.Runtime.InteropServices;
using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Statistics;

/// <summary>An auction's day.</summary>
internal readonly record struct AuctionDay(long Day, RankCounts Bids, long Lowest, long Highest, long Sum)
{
    public long Average => Sum / Bids.Total;

    public AuctionDay With(long price) => new(
        Day, Bids.Plus(RankCounts.Of(PriceRank.BitOf(price))), Bids.Total == 0 ? price : Math.Min(Lowest, price), Math.Max(Highest, price), Sum + price);
}

/// <summary>Query 17: for each auction and day, bids by the rank of prices, and their lowest, highest and summed price, of which the average follows; told when the day is over.</summary>
internal sealed class AuctionBids() : NexmarkQuery<long, AuctionDay>("q17", EventParts.Bids, Serdes.Int64, NumbersSerde<AuctionDay>.Instance)
{
    protected override KStream<long, AuctionDay> Results(KStream<long, Event> events) => events
        .Bids()
        .GroupByKey()
        .WindowedBy(PriceRank.Days)
        .Aggregate(() => default, (_, bid, day) => day.With(bid.Price), Materialized.As("days", NumbersSerde<AuctionDay>.Instance).WithRetention(TimeSpan.Zero))
        .Map((window, day) => (window.Key, day with { Day = window.WindowStartMs }));

    protected override IEnumerable<(long Key, AuctionDay Value)> Model(IReadOnlyList<Event> events) =>
        from bid in events.Bids()
        group bid by (bid.Auction, Day: bid.Time / PriceRank.DayMs * PriceRank.DayMs) into day
        select (day.Key.Auction, new AuctionDay(day.Key.Day, RankCounts.All(day), day.Min(bid => bid.Price), day.Max(bid => bid.Price), day.Sum(bid => bid.Price)));

    protected override HandLoop<long, AuctionDay> Loop() => new ByHand();

    private sealed class ByHand : HandLoop<long, AuctionDay>
    {
        private readonly Dictionary<long, AuctionDay> _days = [];
        private long _end;

        protected override void Take(in Event item, long time)
        {
            if (item.Kind != EventKind.Bid)
            {
                return;
            }

            if (time >= _end)
            {
                End();
                _end = (time / PriceRank.DayMs * PriceRank.DayMs) + PriceRank.DayMs;
            }

            ref var day = ref CollectionsMarshal.GetValueRefOrAddDefault(_days, item.Bid.Auction, out _);
            day = day.With(item.Bid.Price);
        }

        protected override void End()
        {
            foreach (var (auction, day) in _days)
            {
                Emit(_end - 1, auction, day with { Day = _end - PriceRank.DayMs });
            }

            _days.Clear();
        }
    }
}
