using System.Runtime.InteropServices;
using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Statistics;

/// <summary>
/// Query 15: for each day, bids, different bidders and different auctions, in all and by the rank of prices; told when the day is over. No set is kept anywhere: what is different is what has a window of its
/// own, by auction where the bids are and by bidder behind a repartitioning, and only these windows' results are added up. So state and commits are as large as what changes, however long the day. A processor
/// before the repartitioning lets only those bids through which tell something new of their bidder within the partition: few of them do.
/// </summary>
internal sealed class DailyBids() : NexmarkQuery<long, BidStatistics>("q15", EventParts.Bids, Serdes.Int64, NumbersSerde<BidStatistics>.Instance)
{
    protected override KStream<long, BidStatistics> Results(KStream<long, Event> events)
    {
        var serde = NumbersSerde<BidStatistics>.Instance;
        var bids = events.Bids();
        var byAuction = bids
            .GroupByKey()
            .WindowedBy(PriceRank.Days)
            .Aggregate(() => default, (_, bid, share) => share.With(PriceRank.BitOf(bid.Price)), Materialized.As("auctions", NumbersSerde<Share>.Instance).WithRetention(TimeSpan.Zero))
            .Map((window, share) => (window.WindowStartMs, new BidStatistics(share.Bids, default, RankCounts.Of((int)share.Bits))));
        var seen = Stores.KeyValue("seen", Serdes.Int64, NumbersSerde<DayBits>.Instance);
        var byBidder = bids
            .Process(() => new NewRanks(seen), Processed.With(seen))
            .GroupByKey(Grouped.With(Serdes.Int64, Serdes.Int32).WithName("bidders"))
            .WindowedBy(PriceRank.Days)
            .Reduce((bits, bit) => bits | bit, Materialized.As("bidders", Serdes.Int32).WithRetention(TimeSpan.Zero))
            .Map((window, bits) => (window.WindowStartMs, new BidStatistics(default, RankCounts.Of(bits), default)));

        // Each goes its own way to the day's task: merged before, they would make one sub-topology that reads what it writes.
        return byAuction.Repartition(Repartitioned.With(Serdes.Int64, serde).WithName("days-of-auctions"))
            .Merge(byBidder.Repartition(Repartitioned.With(Serdes.Int64, serde).WithName("days-of-bidders")))
            .GroupByKey()
            .WindowedBy(PriceRank.Days)
            .Reduce((sum, share) => sum.Plus(share), Materialized.As("days", serde))
            .Map((window, sum) => (window.Key, sum));
    }

    protected override IEnumerable<(long Key, BidStatistics Value)> Model(IReadOnlyList<Event> events) =>
        from bid in events.Bids()
        group bid by bid.Time / PriceRank.DayMs * PriceRank.DayMs into day
        select (day.Key, new BidStatistics(RankCounts.All(day), RankCounts.Distinct(day, bid => bid.Bidder), RankCounts.Distinct(day, bid => bid.Auction)));

    protected override HandLoop<long, BidStatistics> Loop() => new ByHand();

    /// <summary>An auction's bids within a day.</summary>
    /// <param name="Bids">How many.</param>
    /// <param name="Bits">The bits of their ranks.</param>
    private readonly record struct Share(RankCounts Bids, long Bits)
    {
        public Share With(int bit) => new(Bids.Plus(RankCounts.Of(bit)), Bits | (uint)bit);
    }

    /// <summary>The ranks of a bidder's bids in a partition.</summary>
    /// <param name="Day">On the last day with a bid.</param>
    /// <param name="Bits">Their bits.</param>
    private readonly record struct DayBits(long Day, long Bits);

    /// <summary>Forwards a bid's rank, by bidder, unless the bidder has had one of it that day.</summary>
    private sealed class NewRanks(KeyValueStoreDefinition<long, DayBits> definition) : IStreamProcessor<long, Bid, long, int>
    {
        private IProcessorContext<long, int> _context = null!;
        private IKeyValueState<long, DayBits> _seen = null!;

        public void Init(IProcessorContext<long, int> context) => (_context, _seen) = (context, context.GetStore(definition));

        public void Process(ProcessorRecord<long, Bid> record)
        {
            var bidder = record.Value.Bidder;
            var day = record.TimestampMs / PriceRank.DayMs;
            var bit = PriceRank.BitOf(record.Value.Price);
            var bits = _seen.TryGet(bidder, out var seen) && seen.Day == day ? seen.Bits : 0;
            if ((bits & bit) == 0)
            {
                _seen.Put(bidder, new DayBits(day, bits | (uint)bit));
                _context.Forward(record.With(bidder, bit));
            }
        }
    }

    private sealed class ByHand : HandLoop<long, BidStatistics>
    {
        private readonly Dictionary<long, int> _bidders = [];
        private readonly Dictionary<long, int> _auctions = [];
        private RankCounts _bids;
        private long _end;

        protected override void Take(in Event item, long time)
        {
            if (item.Kind != EventKind.Bid)
            {
                return;
            }

            if (time >= _end)
            {
                End();
                _end = (time / PriceRank.DayMs * PriceRank.DayMs) + PriceRank.DayMs;
            }

            var bit = PriceRank.BitOf(item.Bid.Price);
            _bids = _bids.Plus(RankCounts.Of(bit));
            CollectionsMarshal.GetValueRefOrAddDefault(_bidders, item.Bid.Bidder, out _) |= bit;
            CollectionsMarshal.GetValueRefOrAddDefault(_auctions, item.Bid.Auction, out _) |= bit;
        }

        protected override void End()
        {
            if (_bids.Total > 0)
            {
                Emit(_end - 1, _end - PriceRank.DayMs, new BidStatistics(_bids, Sum(_bidders), Sum(_auctions)));
            }

            _bids = default;
            _bidders.Clear();
            _auctions.Clear();
        }

        private static RankCounts Sum(Dictionary<long, int> seen)
        {
            var sum = default(RankCounts);
            foreach (var bits in seen.Values)
            {
                sum = sum.Plus(RankCounts.Of(bits));
            }

            return sum;
        }
    }
}
