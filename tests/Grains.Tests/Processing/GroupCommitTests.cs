using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Log;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.EngineFixture;
using static OrleansStreams.Processing.TaskTopics;

namespace OrleansStreams.Processing;

/// <summary>Tasks of one process commit together, so that their journals share a flush (which the storage's own tests show).</summary>
public sealed class GroupCommitTests
{
    private const int Tasks = 16;
    private const int Rounds = 5;

    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(100);

    [Fact]
    public void Tasks_that_started_at_different_times_commit_at_the_same_moments() => Turns.Run(async () =>
    {
        var time = new ManualTime();
        await using var storage = new MemoryLogStorage();
        var tasks = new List<(StreamTask Task, TaskTopics Topics)>();
        for (var number = 0; number < Tasks; number++)
        {
            var topics = new TaskTopics();
            var task = Of(number, time, topics.JournalsOf(storage), topics);
            tasks.Add((task, topics));
            _ = task.Start();
            await Turns.UntilAsync(() => task.Status().Commits == 1);

            // All within one interval: the next commit of each is due at its end, in a fraction of a millisecond at last.
            time.Advance(s_interval / (Tasks + 1));
        }

        for (var round = 0; round < Rounds; round++)
        {
            var appends = tasks.Sum(task => task.Topics.Appends);
            tasks.ForEach(task => task.Topics.Add(($"k{round}", round)));
            await Turns.UntilAsync(() => tasks.TrueForAll(task => task.Topics.IsRead));
            await SettleAsync();
            for (var step = 0; step < 100 && tasks.Sum(task => task.Topics.Appends) == appends; step++)
            {
                time.Advance(s_interval / 20);
                await SettleAsync();
            }

            // The clock stands still from the first commit on: one that is not due now never comes.
            await Turns.UntilAsync(() => tasks.TrueForAll(task => task.Task.Status().RecordsIn == round + 1));
            tasks.Sum(task => task.Topics.Appends).ShouldBe(appends + Tasks);
        }

        foreach (var (task, _) in tasks)
        {
            await task.StopAsync();
        }
    });

    private static StreamTask Of(int number, TimeProvider time, ILogStorage storage, TaskTopics topics)
    {
        var builder = new StreamsBuilder();
        builder.Stream(Input, Consumed.With(Serdes.Utf8, Serdes.Int64)).GroupByKey().Count(Materialized.As("seen", Serdes.Int64));
        var options = new ProcessingOptions { CommitInterval = s_interval };
        var plan = Plan(builder.Build().SubTopologies.ShouldHaveSingleItem(), snapshotBytesMin: 1 << 20) with { Partition = number };
        return new StreamTask(plan, new TaskEnvironment(topics, storage, new PhysicalSourceFiles(), options, time, NullLogger.Instance), 0);
    }
}
