using FsCheck;
using FsCheck.Fluent;
using static OrleansStreams.Processing.EngineFixture;

namespace OrleansStreams.Processing;

/// <summary>Invariant 7: a result equals that of one sequential pass, whatever crashed and however often.</summary>
public sealed class EnginePropertyTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Whatever_the_batches_the_interleaving_and_the_crashes_the_result_is_that_of_one_pass(int inputs) => Check.One(
        PropertyRuns.Of(400),
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed => Run(seed, inputs)));

    private static void Run(int seed, int inputs)
    {
        var random = new Random(seed);
        var size = random.Next(1, 30);
        var grace = random.Next(0, 20);
        var outOfOrderness = random.Next(0, 40);
        var partitions = Enumerable.Range(0, inputs).Select(_ => Events(random, outOfOrderness)).ToArray();
        var (expected, expectedLate) = OnePass(partitions, size, grace, outOfOrderness);

        var plan = Plan(Counting(size, grace, outOfOrderness, inputs: inputs), maxMessageBytes: 300);
        var outputs = new ModelPartition();
        var journal = new List<(byte[] Entry, bool Begins)>();
        var snapshotAt = 0;
        var lastBegin = 0;
        var engine = Begun(plan);
        for (var steps = 0; !engine.IsCompleted || engine.HasChanges; steps++)
        {
            steps.ShouldBeLessThan(100_000);
            var dice = random.Next(100);
            if (dice < 70)
            {
                ProcessSome(engine, partitions, random);
            }
            else if (dice < 92 || engine.IsCompleted)
            {
                var commit = engine.Drain();
                journal.Add((commit.Entry.Span.ToArray(), commit.BeginsSnapshot));
                lastBegin = commit.BeginsSnapshot ? journal.Count - 1 : lastBegin;

                // A crash may come before, amid or after the delivery.
                if (random.Next(10) > 0)
                {
                    outputs.Deliver(commit.Outbox);
                    snapshotAt = commit.EndsSnapshot ? lastBegin : snapshotAt;
                }
                else
                {
                    outputs.Deliver(commit.Outbox.Take(random.Next(commit.Outbox.Count + 1)));
                    engine = Restored(plan, journal, snapshotAt, outputs);
                }
            }
            else if (journal.Count > 0)
            {
                engine = Restored(plan, journal, snapshotAt, outputs);
            }
            else
            {
                engine = Begun(plan);
            }
        }

        engine.Progress.LateRecords.ShouldBe(expectedLate.Count);
        engine.Progress.RecordsIn.ShouldBe(partitions.Sum(events => events.Count));
        outputs.Records(Output).Order(StringComparer.Ordinal).ShouldBe(expected);
        outputs.Records(Late).Order(StringComparer.Ordinal).ShouldBe(expectedLate);
    }

    private static TaskEngine Restored(TaskPlan plan, List<(byte[] Entry, bool Begins)> journal, int from, ModelPartition outputs)
    {
        var engine = new TaskEngine(plan);
        foreach (var (entry, _) in journal.Skip(from))
        {
            engine.Restore(entry);
        }

        outputs.Deliver(engine.Undelivered);
        return engine;
    }

    private static void ProcessSome(TaskEngine engine, List<(string Key, long Time)>[] partitions, Random random)
    {
        var input = random.Next(partitions.Length);
        var at = (int)engine.PositionOf(input);
        var events = partitions[input];
        if (engine.IsInputEnded(input))
        {
            return;
        }

        if (at == events.Count)
        {
            engine.ProcessBatch(input, End(at));
            return;
        }

        // A fetch begins with the batch that holds the offset, so records before it may come again.
        var from = Math.Max(0, at - random.Next(3));
        var count = random.Next(1, 20);
        engine.ProcessBatch(input, Batch(from, [.. events.Skip(from).Take(Math.Max(count, at - from + 1)).Select(e => ((string?)e.Key, e.Time))]));
    }

    private static List<(string Key, long Time)> Events(Random random, int outOfOrderness)
    {
        var now = (long)random.Next(-50, 50);
        var events = new List<(string, long)>();
        for (var count = random.Next(0, 120); count > 0; count--)
        {
            now += random.Next(0, 6);
            events.Add((((char)('a' + random.Next(5))).ToString(), now - random.Next(0, outOfOrderness + 30)));
        }

        return events;
    }

    private static (List<string> Results, List<string> Late) OnePass(List<(string Key, long Time)>[] partitions, long size, long grace, long outOfOrderness)
    {
        var counts = new Dictionary<(string, long), long>();
        var late = new List<string>();
        foreach (var events in partitions)
        {
            var watermark = long.MinValue;
            foreach (var (key, time) in events)
            {
                var start = (long)Math.Floor((double)time / size) * size;
                if (start + size + grace <= watermark)
                {
                    late.Add($"{key} {time}");
                }
                else
                {
                    counts[(key, start)] = counts.GetValueOrDefault((key, start)) + 1;
                }

                watermark = Math.Max(watermark, time - outOfOrderness - 1);
            }
        }

        var results = counts.Select(pair => $"{pair.Key.Item1} {pair.Key.Item2}-{pair.Key.Item2 + size}={pair.Value}");
        return ([.. results.Order(StringComparer.Ordinal)], [.. late.Order(StringComparer.Ordinal)]);
    }
}
