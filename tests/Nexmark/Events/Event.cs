namespace OrleansStreams.Nexmark.Events;

internal enum EventKind : byte
{
    Person,
    Auction,
    Bid,
}

/// <summary>Which parts of an event a query looks at: the others are not decoded, whoever reads it.</summary>
[Flags]
internal enum EventParts
{
    Persons = 1,
    Auctions = 2,
    Bids = 4,

    /// <summary>The texts of bids: channel, URL, extra.</summary>
    BidTexts = 8,
}

/// <summary>A person, an auction or a bid. Bids, nearly all events, stand in it by value. What a query does not look at is not there (<see cref="EventParts"/>).</summary>
internal readonly struct Event
{
    public Event(EventKind kind) => Kind = kind;

    public Event(in Bid bid)
    {
        Kind = EventKind.Bid;
        Bid = bid;
    }

    public Event(Auction auction)
    {
        Kind = EventKind.Auction;
        Auction = auction;
    }

    public Event(Person person)
    {
        Kind = EventKind.Person;
        Person = person;
    }

    public EventKind Kind { get; }

    public Bid Bid { get; }

    public Auction? Auction { get; }

    public Person? Person { get; }

    /// <summary>When it happened, ms since the Unix epoch.</summary>
    public long Time => Kind switch
    {
        EventKind.Bid => Bid.Time,
        EventKind.Auction => Auction!.Time,
        _ => Person!.Time,
    };

    /// <summary>What topics are partitioned by: the auction of bids and auctions, so that an auction's events stand in one partition in their order; persons by themselves.</summary>
    public long Key => Kind switch
    {
        EventKind.Bid => Bid.Auction,
        EventKind.Auction => Auction!.Id,
        _ => Person!.Id,
    };
}

/// <param name="Auction">The auction, which may not be there yet.</param>
/// <param name="Bidder">The person, who may not be there yet.</param>
/// <param name="Price">In cents.</param>
/// <param name="Time">Ms since the Unix epoch.</param>
/// <param name="Texts">Channel, URL, extra.</param>
internal readonly record struct Bid(long Auction, long Bidder, long Price, long Time, Texts Texts)
{
    public const int Channel = 0;
    public const int Url = 1;
    public const int Extra = 2;
}

/// <param name="Id">From 1000.</param>
/// <param name="Seller">The person, who may not be there yet.</param>
/// <param name="Category">10 to 14.</param>
/// <param name="InitialBid">In cents.</param>
/// <param name="Reserve">In cents.</param>
/// <param name="Time">Ms since the Unix epoch.</param>
/// <param name="Expires">The last ms at which bids are taken.</param>
/// <param name="Texts">Item name, description, extra.</param>
internal sealed record Auction(long Id, long Seller, long Category, long InitialBid, long Reserve, long Time, long Expires, Texts Texts);

/// <param name="Id">From 1000.</param>
/// <param name="Time">Ms since the Unix epoch.</param>
/// <param name="Texts">Name, e-mail address, credit card, city, state, extra.</param>
internal sealed record Person(long Id, long Time, Texts Texts)
{
    public const int Name = 0;
    public const int City = 3;
    public const int State = 4;
}
