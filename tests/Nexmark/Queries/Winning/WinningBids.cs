using System.Buffers;
using System.Runtime.InteropServices;
using OrleansStreams.Nexmark.Events;
using OrleansStreams.Nexmark.Queries.Joins;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Winning;

/// <summary>
/// Query 9: each auction with its winning bid, the highest and of those the first, kept up to date. A bid counts if its time lies within the auction's, also when it comes before the auction's event
/// (<see cref="AuctionPrice"/>).
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
            (_, item, winner) => winner.With(item),
            Materialized.As("winners", WinnerSerde.Instance))
        .ToStream()
        .Filter((_, winner) => winner.IsNews)
        .MapValues(winner => new AuctionBid(winner.Auction!, winner.Bid));

    protected override IEnumerable<(long Key, AuctionBid Value)> Model(IReadOnlyList<Event> events)
    {
        var bids = events.Bids().ToLookup(bid => bid.Auction);
        return from auction in events.Auctions()
               let taken = from bid in bids[auction.Id]
                           where bid.Time >= auction.Time && bid.Time <= auction.Expires
                           orderby bid.Price descending, bid.Time
                           select bid
               where taken.Any()
               select (auction.Id, new AuctionBid(auction, taken.First()));
    }

    protected override HandLoop<long, AuctionBid> Loop() => new ByHand();

    /// <param name="Auction">The auction; null when its event has not come.</param>
    /// <param name="Bid">Its best bid, before its event the best of the last ms; of price 0 without one.</param>
    /// <param name="IsNews">Whether the last event has changed the winner of an auction: not stored.</param>
    private readonly record struct Winner(Auction? Auction, Bid Bid, bool IsNews)
    {
        public Winner With(in Event item) => item.Kind == EventKind.Auction ? With(item.Auction!) : Auction is { } auction ? With(auction, item.Bid) : Early(item.Bid);

        private Winner With(Auction auction) => Bid.Time >= auction.Time && Bid.Time <= auction.Expires ? new(auction, Bid, Bid.Price > 0) : new(auction, default, false);

        private Winner With(Auction auction, in Bid bid) =>
            bid.Time >= auction.Time && bid.Time <= auction.Expires && bid.Price > Bid.Price ? new(auction, bid, true) : this with { IsNews = false };

        private Winner Early(in Bid bid) => bid.Time > Bid.Time || bid.Price > Bid.Price ? new(null, bid, false) : this;
    }

    /// <summary>
    /// Writes a winner.
    /// <code>
    ///  whether its auction has come byte | of an auction: the auction and the bid as AuctionBidSerde | else: the bid
    /// </code>
    /// </summary>
    private sealed class WinnerSerde : ISerde<Winner>
    {
        public static WinnerSerde Instance { get; } = new();

        public string Name => "winner";

        public void Serialize(Winner value, IBufferWriter<byte> writer)
        {
            writer.GetSpan(1)[0] = (byte)(value.Auction is null ? 0 : 1);
            writer.Advance(1);
            if (value.Auction is null)
            {
                BidSerde.Instance.Serialize(value.Bid, writer);
            }
            else
            {
                AuctionBidSerde.Instance.Serialize(new AuctionBid(value.Auction, value.Bid), writer);
            }
        }

        public Winner Deserialize(ReadOnlySpan<byte> data)
        {
            if (data[0] == 0)
            {
                return new Winner(null, BidSerde.Instance.Deserialize(data[1..]), false);
            }

            var (auction, bid) = AuctionBidSerde.Instance.Deserialize(data[1..]);
            return new Winner(auction, bid, false);
        }
    }

    private sealed class ByHand : HandLoop<long, AuctionBid>
    {
        private readonly Dictionary<long, Winner> _winners = [];

        protected override void Take(in Event item, long time)
        {
            if (item.Kind == EventKind.Person)
            {
                return;
            }

            ref var winner = ref CollectionsMarshal.GetValueRefOrAddDefault(_winners, item.Key, out _);
            winner = winner.With(item);
            if (winner.IsNews)
            {
                Emit(time, item.Key, new AuctionBid(winner.Auction!, winner.Bid));
            }
        }
    }
}
