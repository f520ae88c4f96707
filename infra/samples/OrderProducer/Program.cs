// A microservice that produces: ten orders a second, each acknowledged when it is durable, in the log exactly once however often a silo fails.
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansStreams.Clients;
using OrleansStreams.Cluster;
using OrleansStreams.Records;
using OrleansStreams.Samples;

var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { Args = args, ContentRootPath = AppContext.BaseDirectory });
builder.UseStreamsClusterClient();
builder.Services.AddHostedService<Shop>();
await builder.Build().RunAsync();

internal sealed partial class Shop(StreamsClient streams, ILogger<Shop> log) : BackgroundService
{
    private static readonly string[] Customers = ["alice", "bob", "carol"];

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await using var producer = streams.CreateProducer(Serdes.Utf8, Serdes.Json<Order>());
        using var pace = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        for (var number = 1; await pace.WaitForNextTickAsync(stoppingToken); number++)
        {
            var customer = Customers[number % Customers.Length];
            var sent = await producer.ProduceAsync(new("orders", customer, new Order(number, "book", 1200)), stoppingToken);
            LogSent(number, customer, sent.Partition.Partition, sent.Offset);
        }
    }

    [LoggerMessage(EventId = 1, Level = LogLevel.Information, Message = "order {Number} of {Customer} is at {Partition}@{Offset}")]
    private partial void LogSent(int number, string customer, int partition, long offset);
}
