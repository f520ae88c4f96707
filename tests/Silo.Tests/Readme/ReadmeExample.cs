#pragma warning disable CA2016 // An example names no token where none is needed.

using OrleansStreams.Clients;
using OrleansStreams.Records;
using OrleansStreams.Testing;
using OrleansStreams.Topologies;

namespace OrleansStreams.Silo.Tests.Readme;

/// <summary>The README's example, compiled and run; the test keeps the two the same.</summary>
internal static class ReadmeExample
{
    public static async Task ProduceAndConsumeAsync(StreamsClient client, CancellationToken cancellationToken)
    {
        // <example>
        await client.Admin.CreateTopicAsync("payments", partitionCount: 4);

        await using (var producer = client.CreateProducer(Serdes.Utf8, Serdes.Json<Payment>()))
        {
            await producer.ProduceAsync(new("payments", "alice", new Payment("book", 12)));
            await producer.ProduceAsync(new("payments", "alice", new Payment("pens", 3)));
        }

        var options = new ConsumerOptions { GroupId = "billing", AutoOffsetReset = AutoOffsetReset.Earliest };
        await using var consumer = client.CreateConsumer(Serdes.Utf8, Serdes.Json<Payment>(), options);
        consumer.Subscribe("payments");
        await foreach (var payment in consumer.ConsumeAsync(cancellationToken))
        {
            Console.WriteLine($"{payment.Key} paid {payment.Value!.Amount} for {payment.Value.Item}");
        }

        // </example>
    }

    public static void Build(StreamsBuilder builder, ApplicationParameters parameters)
    {
        // <topology>
        builder.Stream("payments", Consumed.With(Serdes.Utf8, Serdes.Json<Payment>())
                .WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.FromMinutes(1))))
            .Filter((customer, payment) => payment.Amount > 0)
            .GroupByKey()
            .WindowedBy(TumblingWindows.Of(TimeSpan.FromHours(1)).Grace(TimeSpan.FromMinutes(5)))
            .LateTo("payments-late")
            .Aggregate(() => 0L, (customer, payment, sum) => sum + payment.Amount, Materialized.As("hourly", Serdes.Int64))
            .Map((window, sum) => (window.Key, sum))
            .To("payments-per-hour", Produced.With(Serdes.Utf8, Serdes.Int64));
        // </topology>
    }

    public static IReadOnlyList<TestRecord<string, long>> Drive(Topology topology)
    {
        // <driver>
        var driver = new TopologyTestDriver(topology);
        driver.CreateInput("payments", Serdes.Utf8, Serdes.Json<Payment>()).Pipe("alice", new Payment("book", 12), timestamp: 0);
        driver.CloseInputs();
        var results = driver.CreateOutput("payments-per-hour", Serdes.Utf8, Serdes.Int64).ReadAll();
        // </driver>
        return results;
    }

    internal sealed record Payment(string Item, long Amount);
}

/// <summary>Stands in for System.Console in this namespace, so that the test sees what the example prints and other tests' output does not mix with it.</summary>
internal static class Console
{
    public static Action<string> Printed { get; set; } = _ => { };

    public static void WriteLine(string line) => Printed(line);
}
