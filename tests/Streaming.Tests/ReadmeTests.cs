using Orleans.Streams.Core;

namespace OrleansStreams.Streaming
{
    /// <summary>The example of the README stands here too, compiled and run.</summary>
    public sealed class ReadmeTests
    {
        [Fact]
        public async Task The_example_runs()
        {
            await using var silos = await StreamSilos.StartAsync(1, Readme.Example.ConfigureSilo, client => client.AddLogStreams("orders", options => options.Partitions = 4));
            var alice = silos.Stream<Readme.Order>("orders", "orders", "alice");
            await alice.OnNextAsync(new Readme.Order("book", 12));
            await alice.OnNextBatchAsync([new Readme.Order("pens", 3), new Readme.Order("ink", 4)]);
            await Wait.UntilAsync(async () => await silos.Client.GetGrain<Readme.IOrderGrain>("alice").TotalAsync() == 19, "the total of three orders");
        }

        [Fact]
        public void The_readme_shows_what_is_compiled()
        {
            var root = new DirectoryInfo(AppContext.BaseDirectory);
            while (!File.Exists(Path.Combine(root.FullName, "Orleans.Streams.sln")))
            {
                root = root.Parent.ShouldNotBeNull();
            }

            var source = Words(File.ReadAllText(Path.Combine(root.FullName, "tests/Streaming.Tests/ReadmeTests.cs")));
            var blocks = File.ReadAllText(Path.Combine(root.FullName, "infra/OrleansStreaming/README.md")).Split("```csharp")[1..].Select(block => Words(block.Split("```")[0])).ToList();
            blocks.Count.ShouldBe(2);
            blocks.ShouldAllBe(block => source.Contains(block, StringComparison.Ordinal));
        }

        private static string Words(string text) => string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
    }
}

namespace OrleansStreams.Streaming.Readme
{
    public interface IOrderGrain : IGrainWithStringKey
    {
        Task<decimal> TotalAsync();
    }

    [GenerateSerializer]
    public sealed record Order([property: Id(0)] string Item, [property: Id(1)] decimal Price);

    [ImplicitStreamSubscription("orders")]
    public sealed class OrderGrain : Grain, IOrderGrain, IStreamSubscriptionObserver, IAsyncObserver<Order>
    {
        private decimal _total;

        public Task OnSubscribed(IStreamSubscriptionHandleFactory handleFactory) => handleFactory.Create<Order>().ResumeAsync(this);

        public Task OnNextAsync(Order order, StreamSequenceToken? token = null)
        {
            _total += order.Price;
            return Task.CompletedTask;
        }

        public Task OnErrorAsync(Exception error) => Task.CompletedTask;

        public Task<decimal> TotalAsync() => Task.FromResult(_total);
    }

    internal static class Example
    {
        public static void ConfigureSilo(ISiloBuilder silo)
        {
            silo.AddMemoryGrainStorage("PubSubStore"); // of explicit subscriptions; in a cluster one that lasts, such as AddAdoNetGrainStorage
            silo.AddLogStreams("orders", options =>
            {
                options.Partitions = 4;
                options.DeliveryAttemptsMax = 3;
            });
        }
    }
}
