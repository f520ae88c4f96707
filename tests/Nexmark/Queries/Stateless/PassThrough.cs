using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Stateless;

/// <summary>Query 0: every bid as it is, which is what reading and writing cost.</summary>
internal sealed class PassThrough() : NexmarkQuery<long, Bid>("q0", EventParts.Bids | EventParts.BidTexts, Serdes.Int64, BidSerde.Instance)
{
    protected override KStream<long, Bid> Results(KStream<long, Event> events) => events.Bids();

    protected override IEnumerable<(long Key, Bid Value)> Model(IReadOnlyList<Event> events) => events.Bids().Select(bid => (bid.Auction, bid));

    protected override HandLoop<long, Bid> Loop() => new ByHand();

    private sealed class ByHand : HandLoop<long, Bid>
    {
        protected override void Take(in Event item, long time)
        {
            if (item.Kind == EventKind.Bid)
            {
                Emit(time, item.Bid.Auction, item.Bid);
            }
        }
    }
}
