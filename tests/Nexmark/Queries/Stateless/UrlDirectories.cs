using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Stateless;

/// <summary>Query 22: the bids with the three directories of their URL.</summary>
internal sealed class UrlDirectories()
    : NexmarkQuery<long, Row<BidNumbers>>("q22", EventParts.Bids | EventParts.BidTexts, Serdes.Int64, new RowSerde<BidNumbers>("url-directories"))
{
    private const int First = 3;

    protected override KStream<long, Row<BidNumbers>> Results(KStream<long, Event> events) => events.Bids().MapValues(bid => Split(bid));

    protected override IEnumerable<(long Key, Row<BidNumbers> Value)> Model(IReadOnlyList<Event> events) =>
        from bid in events.Bids()
        let parts = bid.Texts.Text(Bid.Url).Split('/')
        select (bid.Auction, new Row<BidNumbers>(new(bid.Auction, bid.Bidder, bid.Price), Texts.Of(bid.Texts.Text(Bid.Channel), parts[3], parts[4], parts[5])));

    protected override HandLoop<long, Row<BidNumbers>> Loop() => new ByHand();

    private static Row<BidNumbers> Split(in Bid bid)
    {
        var rest = bid.Texts[Bid.Url];
        for (var skipped = 0; skipped < First; skipped++)
        {
            Next(ref rest);
        }

        return new(new(bid.Auction, bid.Bidder, bid.Price), Texts.Of(bid.Texts[Bid.Channel], Next(ref rest), Next(ref rest), Next(ref rest)));
    }

    private static ReadOnlySpan<byte> Next(ref ReadOnlySpan<byte> rest)
    {
        var end = rest.IndexOf((byte)'/');
        var part = end < 0 ? rest : rest[..end];
        rest = end < 0 ? default : rest[(end + 1)..];
        return part;
    }

    private sealed class ByHand : HandLoop<long, Row<BidNumbers>>
    {
        protected override void Take(in Event item, long time)
        {
            if (item.Kind == EventKind.Bid)
            {
                Emit(time, item.Bid.Auction, Split(item.Bid));
            }
        }
    }
}
