using System.Text;
using OrleansStreams.Log;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.ProcessingCluster;

namespace OrleansStreams.Processing;

/// <summary>Where time comes from and what waits for it, on real grains and storage.</summary>
public sealed class TimeApplicationTests
{
    private static readonly Consumed<string, string> s_texts = Consumed.With(Serdes.Utf8, Serdes.Utf8);
    private static readonly Produced<string, string> s_toTexts = Produced.With(Serdes.Utf8, Serdes.Utf8);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_stream_meets_the_rows_that_were_there_before_it_and_windows_behind_a_static_table_close(bool isGlobal)
    {
        await using var cluster = await ProcessingCluster.StartAsync((builder, _) =>
        {
            var stream = builder.Stream("stream", s_texts);
            var joined = isGlobal
                ? stream.Join(builder.GlobalTable("table", s_texts, Materialized.As("rows", Serdes.Utf8)), (key, _) => key, (value, row) => value + row)
                : stream.Join(builder.Table("table", s_texts, Materialized.As("rows", Serdes.Utf8)), (value, row) => value + row);
            joined.To("joined", s_toTexts);
            joined.GroupBy((_, value) => value[^1..], Grouped.With(Serdes.Utf8, Serdes.Utf8)).WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10)))
                .Count(Materialized.As("counts", Serdes.Int64)).Map((window, count) => (window.Key, $"{window.WindowStartMs}:{count}")).To("out", s_toTexts);
        });
        foreach (var (topic, partitions) in ((string, int)[])[("stream", 2), ("table", isGlobal ? 3 : 2), ("joined", 1), ("out", 1)])
        {
            await cluster.CreateTopicAsync(topic, partitions);
        }

        // The stream is there first, and each of its partitions has one record that closes the windows of the others.
        for (var number = 0; number < 100; number++)
        {
            await AppendAsync(cluster, "stream", 2, $"k{number}", "v", 1000);
        }

        for (var number = 0; number < 100; number++)
        {
            await AppendAsync(cluster, "table", isGlobal ? 3 : 2, $"k{number}", $"-{number % 2}", 10);
        }

        await EventuallyAsync(() => cluster.App.StartAsync(NoParameters), _ => true);
        await EventuallyAsync(() => cluster.ReadAsync("joined", 1), joined => joined.Count == 100);
        for (var partition = 0; partition < 2; partition++)
        {
            await AppendToAsync(cluster, "stream", partition, partition == 0 ? KeyIn(0) : KeyIn(1), "v", 5000);
        }

        var windows = await EventuallyAsync(() => cluster.ReadAsync("out", 1), found => found.Count >= 2);
        windows.Order(StringComparer.Ordinal).ShouldBe(["0:0=1000:50", "0:1=1000:50"]);

        // A row that comes afterwards is met by what comes after it.
        await AppendAsync(cluster, "table", isGlobal ? 3 : 2, "k1", "-9", 6000);
        await EventuallyAsync(async () =>
        {
            await AppendAsync(cluster, "stream", 2, "k1", "w", 7000);
            return await cluster.ReadAsync("joined", 1);
        }, joined => joined.Contains("0:k1=w-9"));
    }

    [Fact]
    public async Task A_custom_watermark_generator_and_the_logs_append_time_and_the_clock_close_windows_in_a_running_application()
    {
        await using var cluster = await ProcessingCluster.StartAsync((builder, _) =>
        {
            Window(builder.Stream("generated", s_texts.WithWatermarkGenerator(() => new Marks())), 10, "generated");
            Window(builder.Stream("appended", s_texts.WithIngestionTime()), 50, "ingested");
            Window(builder.Stream("processed", s_texts.WithProcessingTime()), 50, "clocked");
        });
        foreach (var topic in (string[])["generated", "processed", "out"])
        {
            await cluster.CreateTopicAsync(topic, 1);
        }

        await cluster.Grains.GetGrain<ITopicGrain>("appended").CreateAsync(1, new TopicConfig { RetentionMs = -1, MessageTimestampType = TimestampType.LogAppendTime });
        await EventuallyAsync(() => cluster.App.StartAsync(NoParameters), _ => true);
        await AppendToAsync(cluster, "generated", 0, "a", "x", 3);
        await AppendToAsync(cluster, "generated", 0, "a", "x", 9999);
        await AppendToAsync(cluster, "generated", 0, "a", "mark", 25);
        await AppendToAsync(cluster, "processed", 0, "p", "x", 1);

        // By the clock alone: nothing follows.
        await EventuallyAsync(() => cluster.ReadAsync("out", 1), found => found.Exists(text => text.StartsWith("0:p=clocked", StringComparison.Ordinal)));

        // By when records were appended: their own timestamps say nothing.
        await AppendToAsync(cluster, "appended", 0, "i", "x", 1);
        var found = await EventuallyAsync(async () =>
        {
            await AppendToAsync(cluster, "appended", 0, "j", "x", 1);
            return await cluster.ReadAsync("out", 1);
        }, texts => texts.Exists(text => text.StartsWith("0:i=ingested", StringComparison.Ordinal)));
        found.Where(text => text.StartsWith("0:a", StringComparison.Ordinal)).ShouldBe(["0:a=generated 0:1"], "the record of 9999 moves no watermark, the mark does");
        var start = long.Parse(found.First(text => text.StartsWith("0:i", StringComparison.Ordinal)).Split(' ')[1].Split(':')[0], System.Globalization.CultureInfo.InvariantCulture);
        start.ShouldBeGreaterThan(1_500_000_000_000);
        (await cluster.App.GetStatusAsync()).Tasks.Sum(task => task.LateRecords).ShouldBe(0);

        static void Window(KStream<string, string> stream, int size, string name) => stream.GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(size)))
            .Count(Materialized.As(name, Serdes.Int64)).Map((window, count) => (window.Key, $"{name} {window.WindowStartMs}:{count}")).To("out", s_toTexts);
    }

    internal static Task AppendAsync(ProcessingCluster cluster, string topic, int partitions, string key, string value, long time) =>
        AppendToAsync(cluster, topic, PartitionOf(key, partitions), key, value, time);

    internal static async Task AppendToAsync(ProcessingCluster cluster, string topic, int partition, string key, string value, long time)
    {
        var builder = new RecordBatchBuilder();
        builder.Append(time, Encoding.UTF8.GetBytes(key), false, Encoding.UTF8.GetBytes(value), false);
        var batch = builder.Build();
        await EventuallyAsync(() => cluster.Grains.GetGrain<IPartitionGrain>(new TopicPartition(topic, partition).GrainKey).AppendAsync(new ProduceRequest(batch)), _ => true);
    }

    private static int PartitionOf(string key, int partitions) => KeyHash.PartitionFor(Encoding.UTF8.GetBytes(key), partitions);

    private static string KeyIn(int partition) => Enumerable.Range(0, 100).Select(number => $"k{number}").First(key => PartitionOf(key, 2) == partition);

    /// <summary>The watermark comes with marks alone.</summary>
    private sealed class Marks : IWatermarkGenerator<string, string>
    {
        public long OnEvent(string key, string value, long eventTime) => value == "mark" ? eventTime : long.MinValue;

        public long OnPeriodic(long nowMs) => long.MinValue;

        public void Save(System.Buffers.IBufferWriter<byte> to)
        {
        }

        public void Restore(ReadOnlySpan<byte> from)
        {
        }
    }
}
