using System.Runtime.InteropServices;
using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Winning;

/// <summary>What an average is made of.</summary>
internal readonly record struct PriceSum(long Sum, long Count)
{
    public long Average => Sum / Count;

    public PriceSum Plus(PriceSum other) => new(Sum + other.Sum, Count + other.Count);
}

/// <summary>Query 4: the average price at which auctions of a category are won, kept up to date.</summary>
internal sealed class CategoryPrices() : NexmarkQuery<long, long>("q4", EventParts.Bids | EventParts.Auctions, Serdes.Int64, Serdes.Int64)
{
    public override bool IsTable => true;

    protected override KStream<long, long> Results(KStream<long, Event> events) => AuctionPrice.Changes(events)
        .Map((_, price) => (price.Category, Difference(price)))
        .GroupByKey(Grouped.With(Serdes.Int64, NumbersSerde<PriceSum>.Instance).WithName("categories"))
        .Reduce((sum, difference) => sum.Plus(difference), Materialized.As("sums", NumbersSerde<PriceSum>.Instance))
        .ToStream()
        .MapValues(sum => sum.Average);

    protected override IEnumerable<(long Key, long Value)> Model(IReadOnlyList<Event> events) =>
        from final in AuctionPrice.Final(events)
        group final.Price by final.Auction.Category into category
        select (category.Key, category.Sum() / category.Count());

    protected override HandLoop<long, long> Loop() => new ByHand();

    private static PriceSum Difference(in AuctionPrice price) => new(price.Price - price.PriceBefore, price.PriceBefore == 0 ? 1 : 0);

    private sealed class ByHand : HandLoop<long, long>
    {
        private readonly Dictionary<long, AuctionPrice> _prices = [];
        private readonly Dictionary<long, PriceSum> _sums = [];

        protected override void Take(in Event item, long time)
        {
            if (item.Kind == EventKind.Person)
            {
                return;
            }

            ref var price = ref CollectionsMarshal.GetValueRefOrAddDefault(_prices, item.Key, out _);
            price = price.With(item);
            if (price.IsNews)
            {
                ref var sum = ref CollectionsMarshal.GetValueRefOrAddDefault(_sums, price.Category, out _);
                sum = sum.Plus(Difference(price));
                Emit(time, price.Category, sum.Average);
            }
        }
    }
}
