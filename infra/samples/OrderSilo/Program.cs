// A silo with an application of its own: what each customer spends per minute. It owns the topics, so it makes them.
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OrleansStreams;
using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Processing;
using OrleansStreams.Records;
using OrleansStreams.Samples;
using OrleansStreams.Silo.Hosting;
using OrleansStreams.Silo.Http;
using OrleansStreams.Topologies;

var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = args, ContentRootPath = AppContext.BaseDirectory });
builder.AddStreamsSilo(SiloSettings.From(builder.Configuration));
builder.Services.AddStreamsApi();
builder.Services.AddStreamApplication("spending", (orders, _) => orders
    .Stream("orders", Consumed.With(Serdes.Utf8, Serdes.Json<Order>()).WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.FromSeconds(10))))
    .GroupByKey()
    .WindowedBy(TumblingWindows.Of(TimeSpan.FromMinutes(1)))
    .Aggregate(() => 0L, (customer, order, cents) => cents + order.Cents, Materialized.As("by-customer", Serdes.Int64))
    .Map((minute, cents) => (minute.Key, cents))
    .To("spending", Produced.With(Serdes.Utf8, Serdes.Int64)));

var app = builder.Build();
await app.OpenStorageAsync();
app.MapStreamsApi();
await app.StartAsync();

var streams = app.Services.GetRequiredService<StreamsClient>();
foreach (var topic in (string[])["orders", "spending"])
{
    try
    {
        await streams.Admin.CreateTopicAsync(topic, partitionCount: 4);
    }
    catch (StreamsException error) when (error.Code == StreamsErrorCode.TopicAlreadyExists)
    {
        // An earlier start, or another silo.
    }
}

await streams.Applications.StartAsync("spending");
Console.WriteLine("The application spending is running");
await app.WaitForShutdownAsync();
