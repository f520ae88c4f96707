using System.Globalization;
using System.Text;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.ProcessingCluster;

namespace OrleansStreams.Processing;

/// <summary>Processors on real grains and storage, while silos crash.</summary>
public sealed class ProcessorApplicationTests
{
    private const int Rows = 4_000;
    private const int Partitions = 2;
    private static readonly KeyValueStoreDefinition<string, long> s_sums = Stores.KeyValue("sums", Serdes.Utf8, Serdes.Int64);
    private static readonly KeyValueStoreDefinition<string, long> s_ticks = Stores.KeyValue("ticks", Serdes.Utf8, Serdes.Int64);
    private static readonly KeyValueStoreDefinition<string, long> s_fileTicks = Stores.KeyValue("file-ticks", Serdes.Utf8, Serdes.Int64);
    private static readonly Produced<string, string> s_texts = Produced.With(Serdes.Utf8, Serdes.Utf8);

    [Theory]
    [InlineData(false, 1)]
    [InlineData(true, 2)]
    public async Task While_silos_crash_every_record_is_flushed_once_and_ticks_of_the_clock_are_counted_without_a_gap(bool files, int silos)
    {
        var random = new Random(17);
        var path = string.Empty;
        await using var cluster = await ProcessingCluster.StartAsync((builder, _) => Describe(builder, path), silos, files);
        path = cluster.FileOf("rows", Enumerable.Range(0, Rows).Select(row => string.Create(CultureInfo.InvariantCulture, $"{KeyOf(row)},{row}")));
        foreach (var topic in (string[])["events", "flushed", "ticked", "file-ticked", "once"])
        {
            await cluster.CreateTopicAsync(topic, Partitions);
        }

        await EventuallyAsync(() => cluster.App.StartAsync(NoParameters), _ => true);
        for (var crash = 0; crash < 6; crash++)
        {
            var goal = (crash + 1) * Rows / 8;
            await cluster.UntilAsync(status => status.Tasks.Where(task => task.SourceRow >= 0).Sum(task => task.SourceRow) >= goal);
            await cluster.CrashOneAsync(random);
            await EventuallyAsync(async () => { await cluster.App.EnsureRunningAsync(); return true; }, _ => true);
        }

        await cluster.UntilAsync(status => status.State == StreamApplicationState.Completed);
        var flushed = (await cluster.ReadAsync("flushed", Partitions)).Select(Parts).GroupBy(part => part.Key).Select(group => $"{group.Key}={group.Sum(part => part.Value)}");
        var rows = Enumerable.Range(0, Rows).GroupBy(KeyOf).Select(group => $"{group.Key}={group.Count()}");
        flushed.Order(StringComparer.Ordinal).ShouldBe(rows.Order(StringComparer.Ordinal));

        // Of each key the first of every 100 ms, counted from the last that passed.
        (await cluster.ReadAsync("once", Partitions)).Count.ShouldBe(Enumerable.Range(0, Rows).GroupBy(KeyOf).Sum(group => Passing(group)));
        foreach (var topic in (string[])["ticked", "file-ticked"])
        {
            var ticks = (await cluster.ReadAsync(topic, Partitions)).Select(Parts).GroupBy(part => part.Key).ToArray();
            ticks.ShouldNotBeEmpty();
            foreach (var task in ticks)
            {
                task.Select(tick => tick.Value).ShouldBe(Enumerable.Range(1, task.Count()).Select(tick => (long)tick), $"{topic} of task {task.Key}");
            }
        }
    }

    private static string KeyOf(int row) => ((char)('a' + (row * 7 % 11))).ToString();

    private static (string Key, long Value) Parts(string record)
    {
        var parts = record[(record.IndexOf(':', StringComparison.Ordinal) + 1)..].Split('=');
        return (parts[0], long.Parse(parts[1], CultureInfo.InvariantCulture));
    }

    private static int Passing(IEnumerable<int> times)
    {
        var (count, last) = (0, int.MinValue / 2);
        foreach (var time in times.Where(time => time - last >= 100))
        {
            (count, last) = (count + 1, time);
        }

        return count;
    }

    private static void Describe(StreamsBuilder builder, string path)
    {
        var rows = builder.FileSource<string, string>("rows", path, Parse, rowsPerSecond: 8_000).Process(() => new Ticker(s_fileTicks), Processed.With(s_fileTicks).WithName("file"));
        rows.Child("rows").To("events", s_texts);
        rows.Child("ticks").To("file-ticked", s_texts);
        var events = builder.Stream("events", Consumed.With(Serdes.Utf8, Serdes.Utf8));
        var counted = events.Process(() => new Flushing(), Processed.With(s_sums).WithName("flushing"));
        counted.To("flushed", s_texts);
        events.Process(() => new Ticker(s_ticks), Processed.With(s_ticks).WithName("ticking")).Child("ticks").To("ticked", s_texts);
        events.Deduplicate(DeduplicationWindow.Of(TimeSpan.FromMilliseconds(100)), "once").To("once", s_texts);
    }

    private static (string Key, string Value, long Timestamp) Parse(ReadOnlySpan<byte> line, long row)
    {
        var comma = line.IndexOf((byte)',');
        return (Encoding.UTF8.GetString(line[..comma]), "1", long.Parse(line[(comma + 1)..], CultureInfo.InvariantCulture));
    }

    /// <summary>Counts records by key, and tells and forgets the counts every 100 ms of event time.</summary>
    private sealed class Flushing : IStreamProcessor<string, string, string, string>
    {
        private IKeyValueState<string, long> _sums = null!;

        public void Init(IProcessorContext<string, string> context)
        {
            _sums = context.GetStore(s_sums);
            context.Schedule(TimeSpan.FromMilliseconds(100), PunctuationType.EventTime, time =>
            {
                foreach (var (key, sum) in _sums.All())
                {
                    context.Forward(new(key, sum.ToString(CultureInfo.InvariantCulture), time));
                    _sums.Delete(key);
                }
            });
        }

        public void Process(ProcessorRecord<string, string> record) => _sums.Put(record.Key, _sums.TryGet(record.Key, out var sum) ? sum + 1 : 1);
    }

    /// <summary>Passes records on, and counts and tells the ticks of the clock.</summary>
    private sealed class Ticker(KeyValueStoreDefinition<string, long> definition) : IStreamProcessor<string, string, string, string>
    {
        private IProcessorContext<string, string> _context = null!;

        public void Init(IProcessorContext<string, string> context)
        {
            _context = context;
            var ticks = context.GetStore(definition);
            context.Schedule(TimeSpan.FromMilliseconds(3), PunctuationType.WallClock, _ =>
            {
                var tick = ticks.TryGet("n", out var last) ? last + 1 : 1;
                ticks.Put("n", tick);
                context.Forward(new(context.TaskId, tick.ToString(CultureInfo.InvariantCulture), 0), "ticks");
            });
        }

        public void Process(ProcessorRecord<string, string> record)
        {
            if (definition == s_fileTicks)
            {
                _context.Forward(record, "rows");
            }
        }
    }
}
