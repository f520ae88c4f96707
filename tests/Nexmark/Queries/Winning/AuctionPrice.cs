using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Winning;

/// <summary>
/// An auction and its highest bid so far: the core of queries 4 and 6. A bid counts if it comes after its auction's event and its time lies within the auction's. The price before is kept along, so that what
/// follows can be told as a difference: whoever adds up prices needs no old value taken back.
/// </summary>
/// <param name="Category">The auction's category.</param>
/// <param name="Seller">The auction's seller.</param>
/// <param name="Begins">The auction's first ms.</param>
/// <param name="Expires">Its last ms; 0 when its event has not come.</param>
/// <param name="Price">The highest bid's price; 0 without one.</param>
/// <param name="PriceBefore">What it was before the last event.</param>
internal readonly record struct AuctionPrice(long Category, long Seller, long Begins, long Expires, long Price, long PriceBefore)
{
    /// <summary>Whether the last event has changed the price.</summary>
    public bool IsNews => Price != PriceBefore;

    public static AuctionPrice Of(Auction auction) => new(auction.Category, auction.Seller, auction.Time, auction.Expires, 0, 0);

    public AuctionPrice With(in Bid bid) => this with
    {
        PriceBefore = Price,
        Price = bid.Time >= Begins && bid.Time <= Expires && bid.Price > Price ? bid.Price : Price,
    };

    /// <summary>The changes of auctions' highest bids.</summary>
    public static KStream<long, AuctionPrice> Changes(KStream<long, Event> events) => events
        .Filter((_, item) => item.Kind != EventKind.Person)
        .GroupByKey()
        .Aggregate(
            () => default,
            (_, item, price) => item.Kind == EventKind.Auction ? Of(item.Auction!) : price.With(item.Bid),
            Materialized.As("prices", NumbersSerde<AuctionPrice>.Instance))
        .ToStream()
        .Filter((_, price) => price.IsNews);

    /// <summary>Auctions with the price of their highest bid, for models; those without bids are left out.</summary>
    public static IEnumerable<(Auction Auction, long Price)> Final(IReadOnlyList<Event> events)
    {
        var bids = events.Select((item, number) => (Item: item, Number: number)).Where(numbered => numbered.Item.Kind == EventKind.Bid).ToLookup(numbered => numbered.Item.Bid.Auction);
        return from numbered in events.Select((item, number) => (Item: item, Number: number))
               where numbered.Item.Kind == EventKind.Auction
               let auction = numbered.Item.Auction!
               let prices = from bid in bids[auction.Id]
                            where bid.Number > numbered.Number && bid.Item.Bid.Time >= auction.Time && bid.Item.Bid.Time <= auction.Expires
                            select bid.Item.Bid.Price
               where prices.Any()
               select (auction, prices.Max());
    }
}
