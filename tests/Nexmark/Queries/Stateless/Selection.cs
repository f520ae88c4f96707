using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Stateless;

/// <summary>Query 2: the prices of the bids on every 123rd auction.</summary>
internal sealed class Selection() : NexmarkQuery<long, long>("q2", EventParts.Bids, Serdes.Int64, Serdes.Int64)
{
    private const long Every = 123;

    protected override KStream<long, long> Results(KStream<long, Event> events) => events.Bids().Filter((_, bid) => bid.Auction % Every == 0).MapValues(bid => bid.Price);

    protected override IEnumerable<(long Key, long Value)> Model(IReadOnlyList<Event> events) =>
        from bid in events.Bids() where bid.Auction / Every * Every == bid.Auction select (bid.Auction, bid.Price);

    protected override HandLoop<long, long> Loop() => new ByHand();

    private sealed class ByHand : HandLoop<long, long>
    {
        protected override void Take(in Event item, long time)
        {
            if (item.Kind == EventKind.Bid && item.Bid.Auction % Every == 0)
            {
                Emit(time, item.Bid.Auction, item.Bid.Price);
            }
        }
    }
}
