using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Statistics;

/// <summary>How queries 15 to 17 divide prices.</summary>
internal static class PriceRank
{
    public const long DayMs = 24L * 3600 * 1000;

    private const long Cheap = 10_000;
    private const long Dear = 1_000_000;

    public static TumblingWindows Days { get; } = TumblingWindows.Of(TimeSpan.FromDays(1));

    /// <summary>1, 2 or 4: the bit of a price's rank.</summary>
    public static int BitOf(long price) => price < Cheap ? 1 : price < Dear ? 2 : 4;
}

/// <summary>Counts of something, in all and by the rank of prices.</summary>
internal readonly record struct RankCounts(long Total, long Rank1, long Rank2, long Rank3)
{
    /// <summary>One thing that has been seen with the ranks whose bits are set.</summary>
    public static RankCounts Of(int bits) => new(1, bits & 1, (bits >> 1) & 1, bits >> 2);

    public RankCounts Plus(in RankCounts other) => new(Total + other.Total, Rank1 + other.Rank1, Rank2 + other.Rank2, Rank3 + other.Rank3);

    /// <summary>Of what models count.</summary>
    public static RankCounts Distinct(IEnumerable<Bid> bids, Func<Bid, long> of) => new(
        bids.Select(of).Distinct().Count(),
        bids.Where(bid => bid.Price < 10_000).Select(of).Distinct().Count(),
        bids.Where(bid => bid.Price is >= 10_000 and < 1_000_000).Select(of).Distinct().Count(),
        bids.Where(bid => bid.Price >= 1_000_000).Select(of).Distinct().Count());

    /// <inheritdoc cref="Distinct"/>
    public static RankCounts All(IEnumerable<Bid> bids) => new(
        bids.Count(),
        bids.Count(bid => bid.Price < 10_000),
        bids.Count(bid => bid.Price is >= 10_000 and < 1_000_000),
        bids.Count(bid => bid.Price >= 1_000_000));
}

/// <summary>What queries 15 and 16 tell.</summary>
/// <param name="Bids">Bids.</param>
/// <param name="Bidders">Different persons.</param>
/// <param name="Auctions">Different auctions.</param>
internal readonly record struct BidStatistics(RankCounts Bids, RankCounts Bidders, RankCounts Auctions)
{
    public BidStatistics Plus(BidStatistics other) => new(Bids.Plus(other.Bids), Bidders.Plus(other.Bidders), Auctions.Plus(other.Auctions));
}
