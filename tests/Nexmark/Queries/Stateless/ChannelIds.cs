using System.Text;
using System.Text.RegularExpressions;
using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Stateless;

/// <summary>The numbers of a bid that queries over its texts pass on.</summary>
internal readonly record struct BidNumbers(long Auction, long Bidder, long Price);

/// <summary>Query 21: the bids whose channel has an id, with it: four channels have a fixed one, the others' stands in the URL.</summary>
internal sealed partial class ChannelIds()
    : NexmarkQuery<long, Row<BidNumbers>>("q21", EventParts.Bids | EventParts.BidTexts, Serdes.Int64, new RowSerde<BidNumbers>("channel-id"))
{
    protected override KStream<long, Row<BidNumbers>> Results(KStream<long, Event> events) => events.Bids().MapValues(bid => WithId(bid)).Filter((_, row) => !row.Texts.IsEmpty);

    protected override IEnumerable<(long Key, Row<BidNumbers> Value)> Model(IReadOnlyList<Event> events)
    {
        foreach (var bid in events.Bids())
        {
            var channel = bid.Texts.Text(Bid.Channel);
            var inUrl = InUrl().Match(bid.Texts.Text(Bid.Url));
            var id = channel.ToUpperInvariant() switch
            {
                "APPLE" => "0",
                "GOOGLE" => "1",
                "FACEBOOK" => "2",
                "BAIDU" => "3",
                _ => inUrl.Success ? inUrl.Groups[2].Value : null,
            };
            if (id is not null)
            {
                yield return (bid.Auction, new Row<BidNumbers>(new(bid.Auction, bid.Bidder, bid.Price), Texts.Of(channel, id)));
            }
        }
    }

    protected override HandLoop<long, Row<BidNumbers>> Loop() => new ByHand();

    /// <summary>The bid's numbers, channel and channel id; no texts when there is no id.</summary>
    private static Row<BidNumbers> WithId(in Bid bid)
    {
        var channel = bid.Texts[Bid.Channel];
        var id = Ascii.EqualsIgnoreCase(channel, "apple"u8) ? "0"u8
            : Ascii.EqualsIgnoreCase(channel, "google"u8) ? "1"u8
            : Ascii.EqualsIgnoreCase(channel, "facebook"u8) ? "2"u8
            : Ascii.EqualsIgnoreCase(channel, "baidu"u8) ? "3"u8
            : IdIn(bid.Texts[Bid.Url]);
        return new(new(bid.Auction, bid.Bidder, bid.Price), id.IsEmpty ? default : Texts.Of(channel, id));
    }

    private static ReadOnlySpan<byte> IdIn(ReadOnlySpan<byte> url)
    {
        var name = "&channel_id="u8;
        var at = url.IndexOf(name);
        if (at < 0)
        {
            return default;
        }

        var id = url[(at + name.Length)..];
        var end = id.IndexOf((byte)'&');
        return end < 0 ? id : id[..end];
    }

    [GeneratedRegex("(&|^)channel_id=([^&]*)")]
    private static partial Regex InUrl();

    private sealed class ByHand : HandLoop<long, Row<BidNumbers>>
    {
        protected override void Take(in Event item, long time)
        {
            if (item.Kind == EventKind.Bid && WithId(item.Bid) is { Texts.IsEmpty: false } row)
            {
                Emit(time, item.Bid.Auction, row);
            }
        }
    }
}
