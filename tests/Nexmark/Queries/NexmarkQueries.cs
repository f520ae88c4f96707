using OrleansStreams.Nexmark.Queries.Joins;
using OrleansStreams.Nexmark.Queries.Stateless;
using OrleansStreams.Nexmark.Queries.Statistics;
using OrleansStreams.Nexmark.Queries.Windows;
using OrleansStreams.Nexmark.Queries.Winning;

namespace OrleansStreams.Nexmark.Queries;

/// <summary>All queries.</summary>
internal static class NexmarkQueries
{
    /// <summary>New ones, by number.</summary>
    public static IReadOnlyList<NexmarkQuery> All =>
    [
        new PassThrough(), new CurrencyConversion(), new Selection(), new LocalItems(), new CategoryPrices(), new HotItems(), new SellerPrices(), new HighestBids(),
        new NewUsers(), new WinningBids(), new LogToTopics(), new UserSessions(), new ProcessingTimeCounts(), new SideInput(), new Calculation(), new DailyBids(),
        new ChannelBids(), new AuctionBids(), new LastBids(), new TopBids(), new ExpandedBids(), new ChannelIds(), new UrlDirectories(),
    ];

    /// <summary>The query of a name, or null.</summary>
    public static NexmarkQuery? Find(string name) => All.FirstOrDefault(query => query.Name == name);
}
