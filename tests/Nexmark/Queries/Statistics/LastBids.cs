using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Statistics;

/// <summary>Who bids on what.</summary>
internal readonly record struct BidderAuction(long Bidder, long Auction);

/// <summary>Query 18: the last bid of each person on each auction, kept up to date: a table by both. An auction's bids stand in one partition, so the last is the last in the log.</summary>
internal sealed class LastBids()
    : NexmarkQuery<BidderAuction, Bid>("q18", EventParts.Bids | EventParts.BidTexts, NumbersSerde<BidderAuction>.Instance, BidSerde.Instance)
{
    public override bool IsTable => true;

    protected override KStream<BidderAuction, Bid> Results(KStream<long, Event> events) => events
        .Bids()
        .SelectKey((_, bid) => new BidderAuction(bid.Bidder, bid.Auction))
        .Repartition(Repartitioned.With(NumbersSerde<BidderAuction>.Instance, BidSerde.Instance).WithName("bidders-auctions"))
        .ToTable(Materialized.As("last", BidSerde.Instance))
        .ToStream();

    protected override IEnumerable<(BidderAuction Key, Bid Value)> Model(IReadOnlyList<Event> events) =>
        from bid in events.Bids()
        group bid by new BidderAuction(bid.Bidder, bid.Auction) into pair
        select (pair.Key, pair.Last());

    protected override HandLoop<BidderAuction, Bid> Loop() => new ByHand();

    private sealed class ByHand : HandLoop<BidderAuction, Bid>
    {
        private readonly Dictionary<BidderAuction, Bid> _last = [];

        protected override void Take(in Event item, long time)
        {
            if (item.Kind == EventKind.Bid)
            {
                var key = new BidderAuction(item.Bid.Bidder, item.Bid.Auction);
                _last[key] = item.Bid;
                Emit(time, key, item.Bid);
            }
        }
    }
}
