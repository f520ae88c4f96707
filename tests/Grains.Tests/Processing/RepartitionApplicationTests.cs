using System.Globalization;
using System.Text;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.ProcessingCluster;

namespace OrleansStreams.Processing;

/// <summary>Three stages in a row on real grains and storage, each behind topics with other partition counts.</summary>
public sealed class RepartitionApplicationTests
{
    private const int Rows = 4_000;
    private const int Partitions = 3;

    [Theory]
    [InlineData(false, 1)]
    [InlineData(true, 3)]
    public async Task While_silos_crash_three_stages_give_the_result_of_one_pass_and_their_topics_are_emptied(bool files, int silos)
    {
        var random = new Random(13);
        var path = string.Empty;
        await using var cluster = await ProcessingCluster.StartAsync((builder, _) => Describe(builder, path, rate: 10_000), silos, files);
        path = cluster.FileOf("rows", Lines());
        await CreateTopicsAsync(cluster);
        await EventuallyAsync(() => cluster.App.StartAsync(NoParameters), _ => true);
        for (var crash = 0; crash < 6; crash++)
        {
            var goal = (crash + 1) * Rows / 8;
            await cluster.UntilAsync(status => status.Tasks.Where(task => task.SourceRow >= 0).Sum(task => task.SourceRow) >= goal);
            await cluster.CrashOneAsync(random);
            await EventuallyAsync(async () => { await cluster.App.EnsureRunningAsync(); return true; }, _ => true);
        }

        var status = await cluster.UntilAsync(status => status.State == StreamApplicationState.Completed);
        status.Tasks.Length.ShouldBe(1 + Partitions + 2 + 4 + Partitions);
        status.Tasks.Sum(task => task.LateRecords).ShouldBe(0);
        (await cluster.ReadAsync("counts", Partitions)).Select(record => record[(record.IndexOf(':', StringComparison.Ordinal) + 1)..]).Order(StringComparer.Ordinal).ShouldBe(OnePass());
        await UntilEmptyAsync(cluster, "app-letter-repartition", 2);
        await UntilEmptyAsync(cluster, "app-group-repartition", 4);
    }

    [Fact]
    public async Task A_dropped_application_leaves_nothing_and_begins_anew_when_it_is_started_again()
    {
        var path = string.Empty;
        await using var cluster = await ProcessingCluster.StartAsync((builder, _) => Describe(builder, path, rate: 0));
        path = cluster.FileOf("rows", Lines());
        await CreateTopicsAsync(cluster);
        await cluster.App.StartAsync(NoParameters);
        await cluster.UntilAsync(status => status.State == StreamApplicationState.Completed);

        await cluster.App.DropAsync();

        var dropped = await cluster.App.GetStatusAsync();
        (dropped.State, dropped.Tasks.Length).ShouldBe((StreamApplicationState.Stopped, 0));
        (await cluster.Storage.ListAsync("journals/app")).ShouldBeEmpty();
        foreach (var topic in (string[])["app-letter-repartition", "app-group-repartition"])
        {
            (await Should.ThrowAsync<StreamsException>(cluster.Grains.GetGrain<ITopicGrain>(topic).DescribeAsync)).Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        }

        await cluster.App.DropAsync();
        await cluster.App.StartAsync(NoParameters.Add("other", "parameters"));
        await cluster.UntilAsync(status => status.State == StreamApplicationState.Completed);
        var results = OnePass();

        // The second run reads the rows of both runs, and those of the second are late for nothing: its windows count each row twice.
        (await cluster.ReadAsync("events", Partitions)).Count.ShouldBe(2 * Rows);
        (await cluster.ReadAsync("counts", Partitions)).Count.ShouldBeGreaterThan(results.Count);
    }

    private static async Task UntilEmptyAsync(ProcessingCluster cluster, string topic, int partitions)
    {
        for (var partition = 0; partition < partitions; partition++)
        {
            var grain = cluster.Grains.GetGrain<IPartitionGrain>(new TopicPartition(topic, partition).GrainKey);
            await EventuallyAsync(grain.GetOffsetsAsync, offsets => offsets.LogStartOffset == offsets.HighWatermark && offsets.HighWatermark > 0);
        }
    }

    private static async Task CreateTopicsAsync(ProcessingCluster cluster)
    {
        foreach (var topic in (string[])["events", "sums", "counts"])
        {
            await cluster.CreateTopicAsync(topic, Partitions);
        }
    }

    /// <summary>One file, then windows by letter in 2 tasks, then windows by group in 4, whose topic 3 tasks read and window again.</summary>
    private static void Describe(StreamsBuilder builder, string path, double? rate)
    {
        builder.FileSource<string, long>("rows", path, Parse, rate).To("events", Produced.With(Serdes.Utf8, Serdes.Int64));
        var letters = builder.Stream("events", Consumed.With(Serdes.Utf8, Serdes.Int64).WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.FromMilliseconds(800))))
            .GroupBy((key, _) => key[..1], Grouped.With(Serdes.Utf8, Serdes.Int64).WithName("letter").WithNumberOfPartitions(2));
        var groups = Sum(letters, 100, "by-letter")
            .GroupBy((key, _) => ((key[0] - 'a') % 5).ToString(CultureInfo.InvariantCulture), Grouped.With(Serdes.Utf8, Serdes.Int64).WithName("group").WithNumberOfPartitions(4));
        Sum(groups, 500, "by-group").To("sums", Produced.With(Serdes.Utf8, Serdes.Int64));
        Sum(builder.Stream("sums", Consumed.With(Serdes.Utf8, Serdes.Int64)).GroupByKey(), 2_000, "by-group-again")
            .MapValues(value => value.ToString(CultureInfo.InvariantCulture)).To("counts", Produced.With(Serdes.Utf8, Serdes.Utf8));
    }

    private static KStream<string, long> Sum(KGroupedStream<string, long> grouped, long size, string store) => grouped
        .WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(size)).Grace(TimeSpan.FromMilliseconds(30)))
        .Aggregate(() => 0L, (_, value, sum) => sum + value, Materialized.As(store, Serdes.Int64))
        .Map((window, sum) => (window.Key, sum));

    private static IEnumerable<string> Lines() => Events().Select(e => string.Create(CultureInfo.InvariantCulture, $"{e.Key},{e.Time}"));

    private static IEnumerable<(string Key, long Time)> Events()
    {
        var random = new Random(5);
        for (var row = 0; row < Rows; row++)
        {
            yield return ($"{(char)('a' + random.Next(20))}{random.Next(10)}", Math.Max(0, (row * 10) - random.Next(0, 700)));
        }
    }

    private static (string Key, long Value, long Timestamp) Parse(ReadOnlySpan<byte> line, long row)
    {
        var comma = line.IndexOf((byte)',');
        return (Encoding.UTF8.GetString(line[..comma]), 1, long.Parse(line[(comma + 1)..], CultureInfo.InvariantCulture));
    }

    private static List<string> OnePass()
    {
        var records = Events().Select(e => (Key: e.Key[..1], Value: 1L, e.Time));
        var byLetter = Sum(records, 100).Select(record => (Key: ((record.Key[0] - 'a') % 5).ToString(CultureInfo.InvariantCulture), record.Value, record.Time));
        return [.. Sum(Sum(byLetter, 500), 2_000).Select(record => $"{record.Key}={record.Value}").Order(StringComparer.Ordinal)];
    }

    private static IEnumerable<(string Key, long Value, long Time)> Sum(IEnumerable<(string Key, long Value, long Time)> records, long size) => records
        .GroupBy(record => (record.Key, Start: record.Time / size * size)).Select(group => (group.Key.Key, group.Sum(record => record.Value), group.Key.Start + size - 1));
}
