using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Log;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;
using OrleansStreams.Tests.Storage;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.EngineFixture;

namespace OrleansStreams.Processing;

/// <summary>Tasks of one process share the flushes of their commits.</summary>
public sealed class GroupCommitTests
{
    private const int Tasks = 16;
    private const int Rounds = 5;

    // Of what came first, and of what came meanwhile, which may take another frame or two.
    private const int FlushesMax = 4;

    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(100);

    [Fact]
    public void Tasks_that_started_at_different_times_commit_at_the_same_moments_and_share_flushes() => Turns.Run(async () =>
    {
        // A round's first flush takes until all tasks have come with their commits: what comes meanwhile goes into the next one.
        using var gate = new ManualResetEventSlim(initialState: true);
        var disk = new SimulatedDisk { BeforeFlush = _ => gate.Wait(TimeSpan.FromSeconds(30)) };
        var time = new ManualTime();
        await using var storage = new FileLogStorage(new FileLogStorageOptions { RootPath = "/data" }, disk, TimeProvider.System, NullLogger.Instance);
        var tasks = new List<(StreamTask Task, TaskTopics Topics)>();
        for (var number = 0; number < Tasks; number++)
        {
            var topics = new TaskTopics();
            var task = Of(number, time, topics.JournalsOf(storage), topics);
            tasks.Add((task, topics));
            _ = task.Start();
            await TaskTopics.UntilAsync(() => task.Status().Commits == 1);
            time.Advance(TimeSpan.FromMilliseconds(7));
        }

        var commits = tasks.Sum(task => task.Task.Status().Commits);
        var before = disk.Flushes.ToDictionary();
        for (var round = 0; round < Rounds; round++)
        {
            var appends = tasks.Sum(task => task.Topics.Appends);
            gate.Reset();
            tasks.ForEach(task => task.Topics.Add(($"k{round}", round)));
            for (var step = 0; step < 100 && tasks.Sum(task => task.Topics.Appends) == appends; step++)
            {
                time.Advance(s_interval / 20);
                await TaskTopics.SettleAsync();
            }

            // The clock stands still from the first commit on.
            await TaskTopics.UntilAsync(() => tasks.Sum(task => task.Topics.Appends) == appends + Tasks);
            gate.Set();
            await TaskTopics.UntilAsync(() => tasks.TrueForAll(task => task.Task.Status().RecordsIn == round + 1));
        }

        commits = tasks.Sum(task => task.Task.Status().Commits) - commits;
        var flushes = disk.Flushes.Values.Sum() - before.Values.Sum();
        commits.ShouldBe(Tasks * Rounds);
        flushes.ShouldBeLessThanOrEqualTo(FlushesMax * Rounds, $"{commits} commits: {string.Join(", ", disk.Flushes.Where(file => file.Value > before.GetValueOrDefault(file.Key)).Select(file => $"{file.Key} {file.Value - before.GetValueOrDefault(file.Key)}"))}");
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
