using OrleansStreams.Log;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>Engines and batches for tests.</summary>
internal static class EngineFixture
{
    public const string Input = "events";
    public const string Output = "counts";
    public const string Late = "late";
    public const string Source = "source/0_0";

    public static SubTopology Counting(long size, long grace, long outOfOrderness, long retention = 1_000_000, int inputs = 1, TimeSpan? idleness = null)
    {
        var builder = new StreamsBuilder();
        var watermarks = WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.FromMilliseconds(outOfOrderness));
        var consumed = Consumed.With(Serdes.Utf8, Serdes.Int64).AllowTimesBefore1970().WithWatermarks(idleness is { } timeout ? watermarks.WithIdleness(timeout) : watermarks);
        var stream = builder.Stream(Input, consumed);
        for (var input = 1; input < inputs; input++)
        {
            stream = stream.Merge(builder.Stream(Input + input, consumed));
        }

        stream.GroupByKey()
            .WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(size)).Grace(TimeSpan.FromMilliseconds(grace)))
            .LateTo(Late)
            .Count(Materialized.As("store", Serdes.Int64).WithRetention(TimeSpan.FromMilliseconds(retention)))
            .Map((windowed, count) => (windowed.Key, $"{windowed.WindowStartMs}-{windowed.WindowEndMs}={count}"))
            .To(Output, Produced.With(Serdes.Utf8, Serdes.Utf8));
        return builder.Build().SubTopologies.ShouldHaveSingleItem();
    }

    public static TaskPlan Plan(SubTopology sub, int maxMessageBytes = 1024, long snapshotBytesMin = 300) => new()
    {
        Application = "app",
        SubTopology = sub,
        Partition = 0,
        Outputs =
        [
            .. sub.OutputTopics.Select(topic => new OutputTopic(topic, 3, maxMessageBytes)),
            .. sub.DeadLetterTopics.Select(topic => new OutputTopic(topic, 3, 1 << 20) { IsDeadLetter = true }),
        ],
        Writers = [.. sub.InputTopics.Select(_ => new[] { Source })],
        SnapshotBytesMin = snapshotBytesMin,
    };

    public static TaskEngine Begun(TaskPlan plan)
    {
        var engine = new TaskEngine(plan);
        engine.Begin(7, new long[plan.SubTopology.Sources.Length], null);
        return engine;
    }

    public static byte[] Batch(long baseOffset, params (string? Key, long Time)[] records)
    {
        var builder = new RecordBatchBuilder();
        foreach (var (key, time) in records)
        {
            builder.Append(time, key is null ? default : System.Text.Encoding.UTF8.GetBytes(key), key is null, BitConverter.GetBytes(0L), false);
        }

        var batch = builder.Build();
        RecordBatch.StampOffsetAndEpoch(batch, baseOffset, 0);
        return batch;
    }

    public static byte[] End(long baseOffset, string task = Source)
    {
        var batch = WatermarkMarker.BuildBatch(task, WatermarkMarker.EndOfInput, 1, 0, 0, 0);
        RecordBatch.StampOffsetAndEpoch(batch, baseOffset, 0);
        return batch;
    }

    /// <summary>The records of a topic in an outbox, as "key value".</summary>
    public static List<string> Read(IEnumerable<OutboxItem> outbox, string topic)
    {
        var texts = new List<string>();
        foreach (var item in outbox.Where(item => item.Partition.Topic == topic))
        {
            ModelPartition.ReadBatches(item.Batches, texts);
        }

        return texts;
    }
}

/// <summary>Output partitions which drop what they have by sequence and fail on a gap, without a bound of memory.</summary>
internal sealed class ModelPartition
{
    private readonly Dictionary<TopicPartition, (int Next, List<string> Records)> _partitions = [];

    public IEnumerable<string> Records(string topic) => _partitions.Where(pair => pair.Key.Topic == topic).OrderBy(pair => pair.Key.Partition).SelectMany(pair => pair.Value.Records);

    public void Deliver(IEnumerable<OutboxItem> outbox)
    {
        foreach (var item in outbox)
        {
            for (var rest = item.Batches; !rest.IsEmpty;)
            {
                RecordBatch.Validate(rest.Span, out var header).ShouldBe(Errors.StreamsErrorCode.None);
                header.ProducerId.ShouldBe(7);
                var (next, records) = _partitions.GetValueOrDefault(item.Partition, (0, []));
                header.BaseSequence.ShouldBeLessThanOrEqualTo(next, "a sequence was left out");
                if (header.BaseSequence == next)
                {
                    ReadBatches(rest[..header.TotalBytes], records);
                    next += header.RecordCount;
                }

                _partitions[item.Partition] = (next, records);
                rest = rest[header.TotalBytes..];
            }
        }
    }

    public static void ReadBatches(ReadOnlyMemory<byte> batches, List<string> texts)
    {
        while (!batches.IsEmpty)
        {
            var reader = new RecordBatchReader(batches);
            while (!reader.Header.IsControl && reader.TryRead(out var record))
            {
                var key = System.Text.Encoding.UTF8.GetString(record.Key);
                var isLate = record.HeaderCount > 0;
                texts.Add(isLate ? $"{key} {record.Timestamp}" : $"{key} {System.Text.Encoding.UTF8.GetString(record.Value)}");
            }

            batches = batches[reader.Header.TotalBytes..];
        }
    }
}
