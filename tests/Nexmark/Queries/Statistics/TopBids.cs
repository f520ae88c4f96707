using System.Buffers;
using System.Runtime.InteropServices;
using OrleansStreams.Nexmark.Events;
using OrleansStreams.Nexmark.Queries.Windows;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Statistics;

/// <summary>Query 19: the ten highest bids of each auction, kept up to date; of equal prices the first ones.</summary>
internal sealed class TopBids() : NexmarkQuery<long, BestBids>("q19", EventParts.Bids, Serdes.Int64, BestBids.Serde)
{
    public override bool IsTable => true;

    protected override KStream<long, BestBids> Results(KStream<long, Event> events) => events
        .Bids()
        .GroupByKey()
        .Aggregate(() => BestBids.None, (_, bid, best) => best.With(bid), Materialized.As("best", BestBids.Serde))
        .ToStream()
        .Filter((_, best) => best.IsNews);

    protected override IEnumerable<(long Key, BestBids Value)> Model(IReadOnlyList<Event> events) =>
        from bid in events.Bids()
        group new PlainBid(bid.Price, bid.Time, bid.Auction, bid.Bidder) by bid.Auction into auction
        select (auction.Key, new BestBids([.. auction.OrderByDescending(bid => bid.Price).Take(10)], true));

    protected override HandLoop<long, BestBids> Loop() => new ByHand();

    private sealed class ByHand : HandLoop<long, BestBids>
    {
        private readonly Dictionary<long, BestBids> _best = [];

        protected override void Take(in Event item, long time)
        {
            if (item.Kind != EventKind.Bid)
            {
                return;
            }

            ref var best = ref CollectionsMarshal.GetValueRefOrAddDefault(_best, item.Bid.Auction, out var isKnown);
            best = (isKnown ? best : BestBids.None).With(item.Bid);
            if (best.IsNews)
            {
                Emit(time, item.Bid.Auction, best);
            }
        }
    }
}

/// <summary>An auction's highest bids, the highest first; never changed in place.</summary>
/// <param name="Bids">At most ten.</param>
/// <param name="IsNews">Whether the last bid is among them: not stored.</param>
internal readonly record struct BestBids(PlainBid[] Bids, bool IsNews)
{
    private const int Most = 10;

    public static BestBids None { get; } = new([], false);

    public static ISerde<BestBids> Serde { get; } = new BestBidsSerde();

    public BestBids With(in Bid bid)
    {
        if (Bids.Length == Most && bid.Price <= Bids[^1].Price)
        {
            return this with { IsNews = false };
        }

        var at = Bids.Length;
        while (at > 0 && Bids[at - 1].Price < bid.Price)
        {
            at--;
        }

        var better = new PlainBid[Math.Min(Bids.Length + 1, Most)];
        Bids.AsSpan(0, at).CopyTo(better);
        better[at] = new PlainBid(bid.Price, bid.Time, bid.Auction, bid.Bidder);
        Bids.AsSpan(at, better.Length - at - 1).CopyTo(better.AsSpan(at + 1));
        return new BestBids(better, true);
    }

    private sealed class BestBidsSerde : ISerde<BestBids>
    {
        public string Name => "best-bids";

        public void Serialize(BestBids value, IBufferWriter<byte> writer) => writer.Write(MemoryMarshal.AsBytes(value.Bids.AsSpan()));

        public BestBids Deserialize(ReadOnlySpan<byte> data) => new(MemoryMarshal.Cast<byte, PlainBid>(data).ToArray(), false);
    }
}
