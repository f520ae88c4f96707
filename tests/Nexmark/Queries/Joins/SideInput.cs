using System.Globalization;
using OrleansStreams.Nexmark.Events;
using OrleansStreams.Nexmark.Queries.Stateless;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Joins;

/// <summary>Query 13: every bid with the value that its auction's number, modulo 10,000, has in a table that is read before: a global table, which every task has whole.</summary>
internal sealed class SideInput() : NexmarkQuery<long, Row<ConvertedBid>>("q13", EventParts.Bids, Serdes.Int64, new RowSerde<ConvertedBid>("side-input"))
{
    private const long Keys = 10_000;

    private static readonly (long Key, Texts Value)[] s_side =
        [.. Enumerable.Range(0, (int)Keys).Where(key => key % 7 != 0).Select(key => ((long)key, Texts.Of(string.Create(CultureInfo.InvariantCulture, $"value-{key}"))))];

    private GlobalKTable<long, Texts>? _table;

    public override IReadOnlyList<(long Key, Texts Value)> Side => s_side;

    public override void Describe(StreamsBuilder builder)
    {
        _table = builder.GlobalTable(SideTopic, Topologies.Consumed.With(Serdes.Int64, TextsSerde.Instance), Materialized.As("side", TextsSerde.Instance));
        base.Describe(builder);
    }

    protected override KStream<long, Row<ConvertedBid>> Results(KStream<long, Event> events) =>
        events.Bids().Join(_table!, (_, bid) => bid.Auction % Keys, (bid, side) => Joined(bid, side));

    protected override IEnumerable<(long Key, Row<ConvertedBid> Value)> Model(IReadOnlyList<Event> events) =>
        from bid in events.Bids()
        join side in s_side on bid.Auction % Keys equals side.Key
        select (bid.Auction, new Row<ConvertedBid>(new(bid.Auction, bid.Bidder, bid.Price, bid.Time), side.Value));

    protected override HandLoop<long, Row<ConvertedBid>> Loop() => new ByHand();

    private static Row<ConvertedBid> Joined(in Bid bid, Texts side) => new(new(bid.Auction, bid.Bidder, bid.Price, bid.Time), side);

    private sealed class ByHand : HandLoop<long, Row<ConvertedBid>>
    {
        private readonly Dictionary<long, Texts> _side = s_side.ToDictionary(pair => pair.Key, pair => pair.Value);

        protected override void Take(in Event item, long time)
        {
            if (item.Kind == EventKind.Bid && _side.TryGetValue(item.Bid.Auction % Keys, out var side))
            {
                Emit(time, item.Bid.Auction, Joined(item.Bid, side));
            }
        }
    }
}
