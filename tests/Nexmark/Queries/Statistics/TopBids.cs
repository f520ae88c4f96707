using System.Buffers;
using System.Runtime.InteropServices;
using OrleansStreams.Nexmark.Events;
using OrleansStreams.Nexmark.Queries.Windows;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Statistics;

/// <summary>Query 19: the ten highest bids of each auction, kept up to date; of equal prices the first ones.</summary>
internal sealed class TopBids() : NexmarkQuery<long, IReadOnlyList<PlainBid>>("q19", EventParts.Bids, Serdes.Int64, PlainBidsSerde.Instance)
{
    private const int Most = 10;

    public override bool IsTable => true;

    protected override KStream<long, IReadOnlyList<PlainBid>> Results(KStream<long, Event> events) => events
        .Bids()
        .MapValues((_, bid) => new PlainBid(bid.Price, bid.Time, bid.Auction, bid.Bidder))
        .GroupByKey()
        .TopN(Most, PlainBid.HighestFirst, Materialized.As("best", NumbersSerde<PlainBid>.Instance))
        .ToStream();

    protected override IEnumerable<(long Key, IReadOnlyList<PlainBid> Value)> Model(IReadOnlyList<Event> events) =>
        from bid in events.Bids()
        group new PlainBid(bid.Price, bid.Time, bid.Auction, bid.Bidder) by bid.Auction into auction
        select (auction.Key, (IReadOnlyList<PlainBid>)[.. auction.OrderByDescending(bid => bid.Price).ThenBy(bid => bid.Time).ThenBy(bid => bid.Bidder).Take(10)]);

    protected override HandLoop<long, IReadOnlyList<PlainBid>> Loop() => new ByHand();

    /// <summary>The best are kept as a list that is changed in place.</summary>
    private sealed class ByHand : HandLoop<long, IReadOnlyList<PlainBid>>
    {
        private readonly Dictionary<long, List<PlainBid>> _best = [];

        protected override void Take(in Event item, long time)
        {
            if (item.Kind != EventKind.Bid)
            {
                return;
            }

            ref var best = ref CollectionsMarshal.GetValueRefOrAddDefault(_best, item.Bid.Auction, out _);
            best ??= new List<PlainBid>(Most + 1);
            var bid = new PlainBid(item.Bid.Price, item.Bid.Time, item.Bid.Auction, item.Bid.Bidder);
            var at = best.Count;
            while (at > 0 && PlainBid.HighestFirst.Compare(bid, best[at - 1]) < 0)
            {
                at--;
            }

            if (at == Most)
            {
                return;
            }

            best.Insert(at, bid);
            if (best.Count > Most)
            {
                best.RemoveAt(Most);
            }

            Emit(time, item.Bid.Auction, best);
        }
    }
}

/// <summary>Bids without their texts, one after the other.</summary>
internal sealed class PlainBidsSerde : ISerde<IReadOnlyList<PlainBid>>
{
    public static PlainBidsSerde Instance { get; } = new();

    public string Name => "plain-bids";

    public void Serialize(IReadOnlyList<PlainBid> value, IBufferWriter<byte> writer)
    {
        for (var index = 0; index < value.Count; index++)
        {
            NumbersSerde<PlainBid>.Instance.Serialize(value[index], writer);
        }
    }

    public IReadOnlyList<PlainBid> Deserialize(ReadOnlySpan<byte> data) => MemoryMarshal.Cast<byte, PlainBid>(data).ToArray();
}
