using System.Buffers;
using System.Runtime.InteropServices;
using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Windows;

/// <summary>An auction and its bids within a window.</summary>
internal readonly record struct AuctionCount(long Auction, long Bids);

/// <summary>
/// Query 5: the auctions with the most bids in the last ten seconds, every two seconds; all of them when several have as many. Bids are counted where they are, by auction and window, and only the counts
/// of closed windows are brought together.
/// </summary>
internal sealed class HotItems() : NexmarkQuery<long, AuctionCount>("q5", EventParts.Bids, Serdes.Int64, NumbersSerde<AuctionCount>.Instance)
{
    private const long SizeMs = 10_000;
    private const long AdvanceMs = 2_000;

    protected override KStream<long, AuctionCount> Results(KStream<long, Event> events) => events
        .Bids()
        .GroupByKey()
        .WindowedBy(HoppingWindows.Of(TenSeconds, TimeSpan.FromMilliseconds(AdvanceMs)))
        .Count(Materialized.As("counts", Serdes.Int64).WithRetention(TimeSpan.Zero))
        .Map((window, count) => (window.WindowStartMs, new AuctionCount(window.Key, count)))
        .GroupByKey(Grouped.With(Serdes.Int64, NumbersSerde<AuctionCount>.Instance).WithName("windows"))
        // A result has the last millisecond of its window, which windows of the advance keep apart.
        .WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(AdvanceMs)))
        .Aggregate(() => new List<AuctionCount>(), (_, count, hottest) => Hotter(hottest, count), Materialized.As("hottest", AuctionCountsSerde.Instance))
        .FlatMap((window, hottest) => hottest.Select(item => (window.Key, item)));

    protected override IEnumerable<(long Key, AuctionCount Value)> Model(IReadOnlyList<Event> events) =>
        from start in events.Bids().SelectMany(bid => StartsOf(bid.Time)).Distinct()
        let counts = from bid in events.Bids().Where(bid => bid.Time >= start && bid.Time < start + 10_000)
                     group bid by bid.Auction into auction
                     select new AuctionCount(auction.Key, auction.Count())
        from hottest in counts.GroupBy(item => item.Bids).MaxBy(items => items.Key)!
        select (start, hottest);

    protected override HandLoop<long, AuctionCount> Loop() => new ByHand();

    private static IEnumerable<long> StartsOf(long time) => Enumerable.Range(0, 5).Select(back => ((time / 2_000) - back) * 2_000);

    private static List<AuctionCount> Hotter(List<AuctionCount> hottest, AuctionCount count)
    {
        if (hottest.Count > 0 && hottest[0].Bids > count.Bids)
        {
            return hottest;
        }

        if (hottest.Count > 0 && hottest[0].Bids < count.Bids)
        {
            hottest.Clear();
        }

        hottest.Add(count);
        return hottest;
    }

    private sealed class AuctionCountsSerde : ISerde<List<AuctionCount>>
    {
        public static AuctionCountsSerde Instance { get; } = new();

        public string Name => "auction-counts";

        public void Serialize(List<AuctionCount> value, IBufferWriter<byte> writer) => writer.Write(MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(value)));

        public List<AuctionCount> Deserialize(ReadOnlySpan<byte> data) => [.. MemoryMarshal.Cast<byte, AuctionCount>(data)];
    }

    private sealed class ByHand : HandLoop<long, AuctionCount>
    {
        private readonly Queue<(long Start, Dictionary<long, long> Counts)> _windows = new();
        private long _nextStart = long.MinValue;

        protected override void Take(in Event item, long time)
        {
            if (item.Kind != EventKind.Bid)
            {
                return;
            }

            if (time >= _nextStart)
            {
                Open(time);
            }

            foreach (var (_, counts) in _windows)
            {
                CollectionsMarshal.GetValueRefOrAddDefault(counts, item.Bid.Auction, out _)++;
            }
        }

        protected override void End()
        {
            while (_windows.Count > 0)
            {
                Close();
            }
        }

        private void Open(long time)
        {
            while (_windows.TryPeek(out var first) && first.Start + SizeMs <= time)
            {
                Close();
            }

            var last = time / AdvanceMs * AdvanceMs;
            for (var start = Math.Max(_nextStart, last - SizeMs + AdvanceMs); start <= last; start += AdvanceMs)
            {
                _windows.Enqueue((start, []));
            }

            _nextStart = last + AdvanceMs;
        }

        private void Close()
        {
            var (start, counts) = _windows.Dequeue();
            var hottest = new List<AuctionCount>();
            foreach (var (auction, bids) in counts)
            {
                hottest = Hotter(hottest, new AuctionCount(auction, bids));
            }

            foreach (var item in hottest)
            {
                Emit(start + SizeMs - 1, start, item);
            }
        }
    }
}
