using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using OrleansStreams.Nexmark.Events;
using OrleansStreams.Nexmark.Queries.Joins;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Winning;

/// <summary>
/// Query 9: each auction with its winning bid, the highest and of those the first, kept up to date. A bid counts from its auction's event on.
/// </summary>
internal sealed class WinningBids()
    : NexmarkQuery<long, AuctionBid>("q9", EventParts.Bids | EventParts.BidTexts | EventParts.Auctions, Serdes.Int64, AuctionBidSerde.Instance)
{
    public override bool IsTable => true;

    protected override KStream<long, AuctionBid> Results(KStream<long, Event> events) => events
        .Filter((_, item) => item.Kind != EventKind.Person)
        .GroupByKey()
        .Aggregate(
            () => default,
            (_, item, winner) => item.Kind == EventKind.Auction ? new Winner(item.Auction, default, false) : winner.With(item.Bid),
            Materialized.As("winners", WinnerSerde.Instance))
        .ToStream()
        .Filter((_, winner) => winner.IsNews)
        .MapValues(winner => new AuctionBid(winner.Auction!, winner.Bid));

    protected override IEnumerable<(long Key, AuctionBid Value)> Model(IReadOnlyList<Event> events)
    {
        var bids = events.Select((item, number) => (Item: item, Number: number)).Where(numbered => numbered.Item.Kind == EventKind.Bid).ToLookup(numbered => numbered.Item.Bid.Auction);
        return from numbered in events.Select((item, number) => (Item: item, Number: number))
               where numbered.Item.Kind == EventKind.Auction
               let auction = numbered.Item.Auction!
               let taken = from bid in bids[auction.Id]
                           where bid.Number > numbered.Number && bid.Item.Bid.Time >= auction.Time && bid.Item.Bid.Time <= auction.Expires
                           orderby bid.Item.Bid.Price descending, bid.Number
                           select bid.Item.Bid
               where taken.Any()
               select (auction.Id, new AuctionBid(auction, taken.First()));
    }

    protected override HandLoop<long, AuctionBid> Loop() => new ByHand();

    /// <param name="Auction">The auction; null when its event has not come.</param>
    /// <param name="Bid">Its best bid; of price 0 without one.</param>
    /// <param name="IsNews">Whether the last event has changed it: not stored.</param>
    private readonly record struct Winner(Auction? Auction, Bid Bid, bool IsNews)
    {
        public Winner With(in Bid bid) => Auction is { } auction && bid.Time >= auction.Time && bid.Time <= auction.Expires && bid.Price > Bid.Price
            ? new(auction, bid, true)
            : this with { IsNews = false };
    }

    private sealed class WinnerSerde : ISerde<Winner>
    {
        public static WinnerSerde Instance { get; } = new();

        public string Name => "winner";

        public void Serialize(Winner value, IBufferWriter<byte> writer)
        {
            if (value.Auction is not null)
            {
                AuctionBidSerde.Instance.Serialize(new AuctionBid(value.Auction, value.Bid), writer);
            }
        }

        public Winner Deserialize(ReadOnlySpan<byte> data)
        {
            if (data.IsEmpty)
            {
                return default;
            }

            var (auction, bid) = AuctionBidSerde.Instance.Deserialize(data);
            return new Winner(auction, bid, false);
        }
    }

    private sealed class ByHand : HandLoop<long, AuctionBid>
    {
        private readonly Dictionary<long, Winner> _winners = [];

        protected override void Take(in Event item, long time)
        {
            if (item.Kind == EventKind.Auction)
            {
                _winners[item.Auction!.Id] = new Winner(item.Auction, default, false);
            }
            else if (item.Kind == EventKind.Bid)
            {
                ref var winner = ref CollectionsMarshal.GetValueRefOrNullRef(_winners, item.Bid.Auction);
                if (Unsafe.IsNullRef(ref winner))
                {
                    return;
                }

                winner = winner.With(item.Bid);
                if (winner.IsNews)
                {
                    Emit(time, item.Bid.Auction, new AuctionBid(winner.Auction!, winner.Bid));
                }
            }
        }
    }
}
