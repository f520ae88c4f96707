using System.Globalization;
using System.Text;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.ProcessingCluster;

namespace OrleansStreams.Processing;

/// <summary>A join by foreign keys, whose two sub-topologies answer each other, and a grouped table behind it, on real grains and storage.</summary>
public sealed class ForeignKeyApplicationTests
{
    private const int Rows = 3_000;

    [Fact]
    public async Task While_silos_crash_orders_follow_their_customers_and_groups_follow_the_orders()
    {
        var random = new Random(17);
        var (orders, customers) = (string.Empty, string.Empty);
        await using var cluster = await ProcessingCluster.StartAsync((builder, _) => Describe(builder, orders, customers), silos: 2);
        (orders, customers) = (cluster.FileOf("orders", Orders()), cluster.FileOf("customers", Customers()));
        foreach (var (topic, partitions) in ((string, int)[])[("orders", 2), ("customers", 3), ("out", 2), ("totals", 1)])
        {
            await cluster.CreateTopicAsync(topic, partitions);
        }

        await EventuallyAsync(() => cluster.App.StartAsync(NoParameters), _ => true);
        for (var crash = 0; crash < 4; crash++)
        {
            var goal = (crash + 1) * Rows / 5;
            await cluster.UntilAsync(status => status.Tasks.Where(task => task.SourceRow >= 0).Sum(task => task.SourceRow) >= goal);
            await cluster.CrashOneAsync(random);
            await EventuallyAsync(async () => { await cluster.App.EnsureRunningAsync(); return true; }, _ => true);
        }

        await cluster.UntilAsync(status => status.State == StreamApplicationState.Completed);
        var expected = Expected();
        (await LastAsync(cluster, "out", 2)).ShouldBe(expected);
        (await LastAsync(cluster, "totals", 1)).ShouldBe(
            expected.GroupBy(order => order.Value.Split('@')[0]).OrderBy(group => group.Key, StringComparer.Ordinal)
                .Select(group => KeyValuePair.Create(group.Key, group.Count().ToString(CultureInfo.InvariantCulture))));
    }

    /// <summary>The last value of each key that is there.</summary>
    private static async Task<KeyValuePair<string, string>[]> LastAsync(ProcessingCluster cluster, string topic, int partitions)
    {
        var last = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var record in await cluster.ReadAsync(topic, partitions))
        {
            var (key, value) = record[(record.IndexOf(':', StringComparison.Ordinal) + 1)..].Split('=') is [var k, var v] ? (k, v) : throw new FormatException(record);
            last[key] = value;
        }

        return [.. last.Where(pair => pair.Value.Length > 0 && pair.Value != "0")];
    }

    private static void Describe(StreamsBuilder builder, string orders, string customers)
    {
        var texts = Consumed.With(Serdes.Utf8, Serdes.Utf8);
        var toTexts = Produced.With(Serdes.Utf8, Serdes.Utf8);
        builder.FileSource<string, string>("order-rows", orders, Parse, rowsPerSecond: 5_000).To("orders", toTexts);
        builder.FileSource<string, string>("customer-rows", customers, Parse, rowsPerSecond: 5_000).To("customers", toTexts);
        var joined = builder.Table("orders", texts).Join(
            builder.Table("customers", texts), order => order.Split('#')[0], (order, customer) => $"{customer}@{order}", Materialized.As("joined", Serdes.Utf8));
        joined.ToStream().To("out", toTexts);
        joined.GroupBy((order, value) => (value.Split('@')[0], order), Grouped.With(Serdes.Utf8, Serdes.Utf8).WithNumberOfPartitions(2)).Count(Materialized.As("counts", Serdes.Int64))
            .MapValues(count => count.ToString(CultureInfo.InvariantCulture)).ToStream().To("totals", toTexts);
    }

    private static IEnumerable<string> Orders()
    {
        var random = new Random(1);
        return Enumerable.Range(0, Rows * 2 / 3).Select(row => $"o{random.Next(60)},{(random.Next(8) == 0 ? string.Empty : $"c{random.Next(12)}#{row}")}");
    }

    private static IEnumerable<string> Customers()
    {
        var random = new Random(2);
        return Enumerable.Range(0, Rows / 3).Select(_ => $"c{random.Next(12)},{(random.Next(5) == 0 ? string.Empty : $"city{random.Next(4)}")}");
    }

    private static KeyValuePair<string, string>[] Expected()
    {
        var (orders, customers) = (LastOf(Orders()), LastOf(Customers()));
        return [.. orders.Where(order => customers.ContainsKey(order.Value.Split('#')[0])).Select(order => KeyValuePair.Create(order.Key, $"{customers[order.Value.Split('#')[0]]}@{order.Value}"))];
    }

    private static SortedDictionary<string, string> LastOf(IEnumerable<string> lines)
    {
        var last = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var line in lines)
        {
            var parts = line.Split(',');
            last.Remove(parts[0]);
            if (parts[1].Length > 0)
            {
                last.Add(parts[0], parts[1]);
            }
        }

        return last;
    }

    private static (string Key, string Value, long Timestamp) Parse(ReadOnlySpan<byte> line, long row)
    {
        var comma = line.IndexOf((byte)',');
        var value = line[(comma + 1)..];
        return (Encoding.UTF8.GetString(line[..comma]), value.IsEmpty ? null! : Encoding.UTF8.GetString(value), row);
    }
}
