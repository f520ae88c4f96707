// A microservice that consumes in a group: start several, and the partitions are shared among them. What was handled is committed by itself.
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansStreams.Clients;
using OrleansStreams.Cluster;
using OrleansStreams.Records;
using OrleansStreams.Samples;

var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { Args = args, ContentRootPath = AppContext.BaseDirectory });
builder.UseStreamsClusterClient();
builder.Services.AddHostedService<Billing>();
await builder.Build().RunAsync();

internal sealed partial class Billing(StreamsClient streams, ILogger<Billing> log) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var options = new ConsumerOptions { GroupId = "billing", AutoOffsetReset = AutoOffsetReset.Earliest };
        await using var consumer = streams.CreateConsumer(Serdes.Utf8, Serdes.Json<Order>(), options);
        consumer.Subscribe("orders");
        await foreach (var order in consumer.ConsumeAsync(stoppingToken))
        {
            LogBill(order.Key, order.Value!.Number, order.Value.Cents);
        }
    }

    [LoggerMessage(EventId = 1, Level = LogLevel.Information, Message = "bill to {Customer}: order {Number}, {Cents} cents")]
    private partial void LogBill(string? customer, int number, int cents);
}
