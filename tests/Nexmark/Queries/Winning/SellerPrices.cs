using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Winning;

/// <summary>
/// Query 6: the average price of a seller's last ten auctions that have been bid on, kept up to date. The original averages auctions in the order in which they close; here they stand in the order of their
/// ids, the order in which they began, so that the average follows each new highest bid. Which ten they are in the end does not depend on the order of changes: an auction that was pushed out had ten later ones.
/// </summary>
internal sealed class SellerPrices() : NexmarkQuery<long, long>("q6", EventParts.Bids | EventParts.Auctions, Serdes.Int64, Serdes.Int64)
{
    public override bool IsTable => true;

    protected override KStream<long, long> Results(KStream<long, Event> events) => AuctionPrice.Changes(events)
        .Map((auction, price) => (price.Seller, new LastPrices.Price(auction, price.Price)))
        .GroupByKey(Grouped.With(Serdes.Int64, NumbersSerde<LastPrices.Price>.Instance).WithName("sellers"))
        .Aggregate(() => LastPrices.None, (_, price, last) => last.With(price), Materialized.As("last-prices", LastPrices.Serde))
        .ToStream()
        .MapValues(last => last.Average);

    protected override IEnumerable<(long Key, long Value)> Model(IReadOnlyList<Event> events) =>
        from final in AuctionPrice.Final(events)
        group final by final.Auction.Seller into seller
        let last = seller.OrderByDescending(final => final.Auction.Id).Take(10).ToArray()
        select (seller.Key, last.Sum(final => final.Price) / last.Length);

    protected override HandLoop<long, long> Loop() => new ByHand();

    private sealed class ByHand : HandLoop<long, long>
    {
        private readonly Dictionary<long, AuctionPrice> _prices = [];
        private readonly Dictionary<long, LastPrices> _last = [];

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
                ref var last = ref CollectionsMarshal.GetValueRefOrAddDefault(_last, price.Seller, out _);
                last = (last ?? LastPrices.None).With(new(item.Key, price.Price));
                Emit(time, price.Seller, last.Average);
            }
        }
    }
}

/// <summary>The prices of a seller's last auctions, by auction; never changed in place.</summary>
internal sealed class LastPrices
{
    private const int Most = 10;

    private readonly Price[] _prices;

    private LastPrices(Price[] prices) => _prices = prices;

    public static LastPrices None { get; } = new([]);

    public static ISerde<LastPrices> Serde { get; } = new LastPricesSerde();

    public long Average
    {
        get
        {
            var sum = 0L;
            foreach (var price in _prices)
            {
                sum += price.Cents;
            }

            return sum / _prices.Length;
        }
    }

    public LastPrices With(Price price)
    {
        var at = Array.FindIndex(_prices, other => other.Auction >= price.Auction);
        at = at < 0 ? _prices.Length : at;
        if (at < _prices.Length && _prices[at].Auction == price.Auction)
        {
            var changed = (Price[])_prices.Clone();
            changed[at] = price;
            return new LastPrices(changed);
        }

        Price[] longer = [.. _prices[..at], price, .. _prices[at..]];
        return new LastPrices(longer.Length > Most ? longer[1..] : longer);
    }

    /// <param name="Auction">The auction.</param>
    /// <param name="Cents">Its price.</param>
    internal readonly record struct Price(long Auction, long Cents);

    private sealed class LastPricesSerde : ISerde<LastPrices>
    {
        public string Name => "last-prices";

        public void Serialize(LastPrices value, IBufferWriter<byte> writer) => writer.Write(MemoryMarshal.AsBytes(value._prices.AsSpan()));

        public LastPrices Deserialize(ReadOnlySpan<byte> data) => new(MemoryMarshal.Cast<byte, Price>(data).ToArray());
    }
}
