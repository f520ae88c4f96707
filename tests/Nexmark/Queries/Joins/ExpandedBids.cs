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
/// Query 20: the bids on auctions of category 10, with all of the auction, whichever comes first and however far apart. A bid that comes before its auction waits for it; behind it nothing is kept, because an
/// auction comes once. So no more is buffered on either side than a later event can still meet; a join of streams over an endless window, as in query 3, would keep every bid for ever.
/// </summary>
internal sealed class ExpandedBids()
    : NexmarkQuery<long, AuctionBid>("q20", EventParts.Bids | EventParts.BidTexts | EventParts.Auctions, Serdes.Int64, AuctionBidSerde.Instance)
{
    private const long Category = 10;

    protected override KStream<long, AuctionBid> Results(KStream<long, Event> events)
    {
        var auctions = Stores.KeyValue("auctions", Serdes.Int64, AuctionSerde.Instance);
        var early = Stores.KeyValue("early-bids", Serdes.Int64, BidsSerde.Instance);
        return events.Filter((_, item) => item.Kind != EventKind.Person).Process(() => new Joiner(auctions, early), Processed.With(auctions, early).KeepsKey());
    }

    protected override IEnumerable<(long Key, AuctionBid Value)> Model(IReadOnlyList<Event> events) =>
        from auction in events.Auctions()
        where auction.Category == 10
        join bid in events.Bids() on auction.Id equals bid.Auction
        select (auction.Id, new AuctionBid(auction, bid));

    protected override HandLoop<long, AuctionBid> Loop() => new ByHand();

    /// <summary>Of an auction that nobody asks for, only that it has come.</summary>
    private static Auction Kept(Auction auction) => auction.Category == Category ? auction : auction with { Texts = default };

    private sealed class Joiner(KeyValueStoreDefinition<long, Auction> auctionsOf, KeyValueStoreDefinition<long, List<Bid>> earlyOf) : IStreamProcessor<long, Event, long, AuctionBid>
    {
        private IProcessorContext<long, AuctionBid> _context = null!;
        private IKeyValueState<long, Auction> _auctions = null!;
        private IKeyValueState<long, List<Bid>> _early = null!;

        public void Init(IProcessorContext<long, AuctionBid> context) => (_context, _auctions, _early) = (context, context.GetStore(auctionsOf), context.GetStore(earlyOf));

        public void Process(ProcessorRecord<long, Event> record)
        {
            if (record.Value.Kind == EventKind.Bid)
            {
                Take(record, record.Value.Bid);
            }
            else
            {
                Take(record, record.Value.Auction!);
            }
        }

        private void Take(in ProcessorRecord<long, Event> record, in Bid bid)
        {
            if (!_auctions.TryGet(bid.Auction, out var auction))
            {
                List<Bid> bids = [.. _early.TryGet(bid.Auction, out var before) ? before : [], bid];
                _early.Put(bid.Auction, bids);
            }
            else if (auction.Category == Category)
            {
                _context.Forward(record.WithValue(new AuctionBid(auction, bid)));
            }
        }

        private void Take(in ProcessorRecord<long, Event> record, Auction auction)
        {
            _auctions.Put(auction.Id, Kept(auction));
            if (!_early.TryGet(auction.Id, out var bids))
            {
                return;
            }

            _early.Delete(auction.Id);
            foreach (var bid in auction.Category == Category ? bids : [])
            {
                _context.Forward(record.WithValue(new AuctionBid(auction, bid)));
            }
        }
    }

    /// <summary>
    /// Writes bids.
    /// <code>
    ///  (bytes of the bid int32 little-endian | bid)*
    /// </code>
    /// </summary>
    private sealed class BidsSerde : ISerde<List<Bid>>
    {
        public static BidsSerde Instance { get; } = new();

        public string Name => "nexmark-bids";

        public void Serialize(List<Bid> value, IBufferWriter<byte> writer)
        {
            foreach (var bid in value)
            {
                BinaryPrimitives.WriteInt32LittleEndian(writer.GetSpan(sizeof(int)), BidSerde.SizeOf(bid));
                writer.Advance(sizeof(int));
                BidSerde.Instance.Serialize(bid, writer);
            }
        }

        public List<Bid> Deserialize(ReadOnlySpan<byte> data)
        {
            var bids = new List<Bid>();
            while (!data.IsEmpty)
            {
                var end = sizeof(int) + BinaryPrimitives.ReadInt32LittleEndian(data);
                bids.Add(BidSerde.Instance.Deserialize(data[sizeof(int)..end]));
                data = data[end..];
            }

            return bids;
        }
    }

    private sealed class ByHand : HandLoop<long, AuctionBid>
    {
        private readonly Dictionary<long, Auction> _auctions = [];
        private readonly Dictionary<long, List<Bid>> _early = [];

        protected override void Take(in Event item, long time)
        {
            if (item.Kind == EventKind.Bid)
            {
                if (!_auctions.TryGetValue(item.Bid.Auction, out var auction))
                {
                    (_early.TryGetValue(item.Bid.Auction, out var bids) ? bids : _early[item.Bid.Auction] = []).Add(item.Bid);
                }
                else if (auction.Category == Category)
                {
                    Emit(time, item.Bid.Auction, new AuctionBid(auction, item.Bid));
                }
            }
            else if (item.Kind == EventKind.Auction)
            {
                _auctions.Add(item.Auction!.Id, Kept(item.Auction));
                if (_early.Remove(item.Auction.Id, out var bids) && item.Auction.Category == Category)
                {
                    foreach (var bid in bids)
                    {
                        Emit(time, item.Auction.Id, new AuctionBid(item.Auction, bid));
                    }
                }
            }
        }
    }
}
