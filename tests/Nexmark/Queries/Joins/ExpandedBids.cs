using System.Buffers;
using System.Buffers.Binary;
using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Joins;

/// <summary>A bid and its auction.</summary>
internal readonly record struct AuctionBid(Auction Auction, Bid Bid);

/// <summary>
/// Writes a bid and its auction.
/// <code>
///  bytes of the auction int32 little-endian | auction | bid
/// </code>
/// </summary>
internal sealed class AuctionBidSerde : ISerde<AuctionBid>
{
    public static AuctionBidSerde Instance { get; } = new();

    public string Name => "nexmark-auction-bid";

    public void Serialize(AuctionBid value, IBufferWriter<byte> writer)
    {
        BinaryPrimitives.WriteInt32LittleEndian(writer.GetSpan(sizeof(int)), AuctionSerde.SizeOf(value.Auction));
        writer.Advance(sizeof(int));
        AuctionSerde.Instance.Serialize(value.Auction, writer);
        BidSerde.Instance.Serialize(value.Bid, writer);
    }

    public AuctionBid Deserialize(ReadOnlySpan<byte> data)
    {
        var bidAt = sizeof(int) + BinaryPrimitives.ReadInt32LittleEndian(data);
        return new(AuctionSerde.Instance.Deserialize(data[sizeof(int)..bidAt]), BidSerde.Instance.Deserialize(data[bidAt..]));
    }
}

/// <summary>
/// Query 20: the bids on auctions of category 10, with all of the auction. A bid counts from its auction's event on: bids that were drawn for an auction before it began join nothing, and no bid has to
/// be kept.
/// </summary>
internal sealed class ExpandedBids()
    : NexmarkQuery<long, AuctionBid>("q20", EventParts.Bids | EventParts.BidTexts | EventParts.Auctions, Serdes.Int64, AuctionBidSerde.Instance)
{
    private const long Category = 10;

    protected override KStream<long, AuctionBid> Results(KStream<long, Event> events)
    {
        var auctions = events.Filter((_, item) => item.Kind == EventKind.Auction && item.Auction!.Category == Category)
            .MapValues(item => item.Auction!)
            .ToTable(Materialized.As("auctions", AuctionSerde.Instance));
        return events.Bids().Join(auctions, (bid, auction) => new AuctionBid(auction, bid));
    }

    protected override IEnumerable<(long Key, AuctionBid Value)> Model(IReadOnlyList<Event> events)
    {
        var numbered = events.Select((item, number) => (Item: item, Number: number)).ToArray();
        return from auction in numbered.Where(numbered => numbered.Item.Kind == EventKind.Auction)
               where auction.Item.Auction!.Category == 10
               join bid in numbered.Where(numbered => numbered.Item.Kind == EventKind.Bid) on auction.Item.Key equals bid.Item.Bid.Auction
               where bid.Number > auction.Number
               select (auction.Item.Key, new AuctionBid(auction.Item.Auction!, bid.Item.Bid));
    }

    protected override HandLoop<long, AuctionBid> Loop() => new ByHand();

    private sealed class ByHand : HandLoop<long, AuctionBid>
    {
        private readonly Dictionary<long, Auction> _auctions = [];

        protected override void Take(in Event item, long time)
        {
            if (item.Kind == EventKind.Bid)
            {
                if (_auctions.TryGetValue(item.Bid.Auction, out var auction))
                {
                    Emit(time, item.Bid.Auction, new AuctionBid(auction, item.Bid));
                }
            }
            else if (item.Kind == EventKind.Auction && item.Auction!.Category == Category)
            {
                _auctions.Add(item.Auction.Id, item.Auction);
            }
        }
    }
}
