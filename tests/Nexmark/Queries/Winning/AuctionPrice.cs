using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Winning;

/// <summary>
/// An auction and its highest bid so far: the core of queries 4 and 6. A bid counts if its time lies within the auction's, also when it comes before the auction's event: the events of an auction come in the
/// order of their times, so of earlier bids only those of the last ms can count, and of those the highest is kept. The price before is kept along, so that what follows can be told as a difference: whoever adds
/// up prices needs no old value taken back.
/// </summary>
/// <param name="Category">The auction's category.</param>
/// <param name="Seller">The auction's seller.</param>
/// <param name="Begins">The auction's first ms; before its event the time of the last bid.</param>
/// <param name="Expires">Its last ms; 0 when its event has not come.</param>
/// <param name="Price">The highest bid's price; 0 without one.</param>
/// <param name="PriceBefore">What it was before the last event.</param>
internal readonly record struct AuctionPrice(long Category, long Seller, long Begins, long Expires, long Price, long PriceBefore)
{
    /// <summary>Whether the last event has changed the price of an auction.</summary>
    public bool IsNews => Expires > 0 && Price != PriceBefore;

    /// <summary>After an event of the auction's.</summary>
    public AuctionPrice With(in Event item) => item.Kind == EventKind.Auction ? With(item.Auction!) : Expires > 0 ? With(item.Bid) : Early(item.Bid);

    /// <summary>The changes of auctions' highest bids.</summary>
    public static KStream<long, AuctionPrice> Changes(KStream<long, Event> events) => events
        .Filter((_, item) => item.Kind != EventKind.Person)
        .GroupByKey()
        .Aggregate(() => default, (_, item, price) => price.With(item), Materialized.As("prices", NumbersSerde<AuctionPrice>.Instance))
        .ToStream()
        .Filter((_, price) => price.IsNews);

    /// <summary>Auctions with the price of their highest bid, for models; those without bids are left out.</summary>
    public static IEnumerable<(Auction Auction, long Price)> Final(IReadOnlyList<Event> events)
    {
        var bids = events.Bids().ToLookup(bid => bid.Auction);
        return from auction in events.Auctions()
               let prices = from bid in bids[auction.Id] where bid.Time >= auction.Time && bid.Time <= auction.Expires select bid.Price
               where prices.Any()
               select (auction, prices.Max());
    }

    private AuctionPrice With(Auction auction) =>
        new(auction.Category, auction.Seller, auction.Time, auction.Expires, Begins >= auction.Time && Begins <= auction.Expires ? Price : 0, 0);

    private AuctionPrice With(in Bid bid) => this with
    {
        PriceBefore = Price,
        Price = bid.Time >= Begins && bid.Time <= Expires && bid.Price > Price ? bid.Price : Price,
    };

    private AuctionPrice Early(in Bid bid) => bid.Time > Begins || bid.Price > Price ? this with { Begins = bid.Time, Price = bid.Price } : this;
}
