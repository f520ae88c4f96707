using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Stateless;

/// <summary>A bid with what was computed of it.</summary>
/// <param name="Auction">The auction.</param>
/// <param name="Bidder">The person.</param>
/// <param name="PriceMilli">In thousandths of a euro cent.</param>
/// <param name="TimeType">0 day, 1 night, 2 other.</param>
/// <param name="Time">Ms since the Unix epoch.</param>
/// <param name="Count">How often the letter c stands in the bid's extra.</param>
internal readonly record struct CalculatedBid(long Auction, long Bidder, long PriceMilli, long TimeType, long Time, long Count);

/// <summary>Query 14: bids between 1,000,000 and 50,000,000 in euro, with their time of day and a count of letters.</summary>
internal sealed class Calculation()
    : NexmarkQuery<long, Row<CalculatedBid>>("q14", EventParts.Bids | EventParts.BidTexts, Serdes.Int64, new RowSerde<CalculatedBid>("calculated-bid"))
{
    private const long EuroMilli = 908;
    private const long HourMs = 3_600_000;

    protected override KStream<long, Row<CalculatedBid>> Results(KStream<long, Event> events) => events.Bids().Filter((_, bid) => IsWanted(bid)).MapValues(bid => Calculate(bid));

    protected override IEnumerable<(long Key, Row<CalculatedBid> Value)> Model(IReadOnlyList<Event> events) =>
        from bid in events.Bids()
        let euro = bid.Price * 0.908m
        where euro is > 1_000_000 and < 50_000_000
        let hour = DateTimeOffset.FromUnixTimeMilliseconds(bid.Time).Hour
        let type = hour is >= 8 and <= 18 ? 0 : hour is <= 6 or >= 20 ? 1 : 2
        let extra = bid.Texts.Text(Bid.Extra)
        select (bid.Auction, new Row<CalculatedBid>(new(bid.Auction, bid.Bidder, (long)(euro * 1000), type, bid.Time, extra.Count(letter => letter == 'c')), Texts.Of(extra)));

    protected override HandLoop<long, Row<CalculatedBid>> Loop() => new ByHand();

    private static bool IsWanted(in Bid bid) => bid.Price * EuroMilli is > 1_000_000_000 and < 50_000_000_000;

    private static Row<CalculatedBid> Calculate(in Bid bid)
    {
        var hour = bid.Time / HourMs % 24;
        var type = hour is >= 8 and <= 18 ? 0 : hour is <= 6 or >= 20 ? 1 : 2;
        return new(new(bid.Auction, bid.Bidder, bid.Price * EuroMilli, type, bid.Time, bid.Texts[Bid.Extra].Count((byte)'c')), bid.Texts.Only(Bid.Extra));
    }

    private sealed class ByHand : HandLoop<long, Row<CalculatedBid>>
    {
        protected override void Take(in Event item, long time)
        {
            if (item.Kind == EventKind.Bid && IsWanted(item.Bid))
            {
                Emit(time, item.Bid.Auction, Calculate(item.Bid));
            }
        }
    }
}
