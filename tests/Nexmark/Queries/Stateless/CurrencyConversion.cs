using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Stateless;

/// <summary>A bid in euro.</summary>
/// <param name="Auction">The auction.</param>
/// <param name="Bidder">The person.</param>
/// <param name="PriceMilli">Thousandths of a cent.</param>
/// <param name="Time">Ms since the Unix epoch.</param>
internal readonly record struct ConvertedBid(long Auction, long Bidder, long PriceMilli, long Time);

/// <summary>Query 1: every bid with its price in euro, a dollar being 0.908.</summary>
internal sealed class CurrencyConversion()
    : NexmarkQuery<long, Row<ConvertedBid>>("q1", EventParts.Bids | EventParts.BidTexts, Serdes.Int64, new RowSerde<ConvertedBid>("converted-bid"))
{
    private const long EuroMilli = 908;

    protected override KStream<long, Row<ConvertedBid>> Results(KStream<long, Event> events) => events.Bids().MapValues(bid => Convert(bid));

    protected override IEnumerable<(long Key, Row<ConvertedBid> Value)> Model(IReadOnlyList<Event> events) =>
        from bid in events.Bids()
        let euro = (long)(bid.Price * 0.908m * 1000)
        select (bid.Auction, new Row<ConvertedBid>(new(bid.Auction, bid.Bidder, euro, bid.Time), Texts.Of(bid.Texts.Text(Bid.Extra))));

    protected override HandLoop<long, Row<ConvertedBid>> Loop() => new ByHand();

    private static Row<ConvertedBid> Convert(in Bid bid) => new(new(bid.Auction, bid.Bidder, bid.Price * EuroMilli, bid.Time), bid.Texts.Only(Bid.Extra));

    private sealed class ByHand : HandLoop<long, Row<ConvertedBid>>
    {
        protected override void Take(in Event item, long time)
        {
            if (item.Kind == EventKind.Bid)
            {
                Emit(time, item.Bid.Auction, Convert(item.Bid));
            }
        }
    }
}
