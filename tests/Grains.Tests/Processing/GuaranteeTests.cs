using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.EngineFixture;

namespace OrleansStreams.Processing;

/// <summary>What the guarantees come to when a process dies: at every append to an output and to the journal, before or after it took effect.</summary>
public sealed class GuaranteeTests
{
    private const int Records = 24;
    private const string Totals = "totals";

    [Fact]
    public void Exactly_once_gives_the_same_results_wherever_the_process_dies()
    {
        var expected = Run(ProcessingGuarantee.ExactlyOnce, 0, false);
        expected.Copies.Count.ShouldBe(Records);
        expected.Totals.Order(StringComparer.Ordinal).ShouldBe(All().Select(key => $"{key} 1"));
        foreach (var run in EveryDeath(ProcessingGuarantee.ExactlyOnce))
        {
            run.Copies.ShouldBe(expected.Copies);
            run.Totals.ShouldBe(expected.Totals);
        }
    }

    [Fact]
    public void At_least_once_loses_nothing_and_repeats_what_was_sent_before_it_was_journaled()
    {
        var runs = EveryDeath(ProcessingGuarantee.AtLeastOnce);
        foreach (var run in runs)
        {
            run.Copies.Distinct().Order(StringComparer.Ordinal).ShouldBe(All());
            run.Totals.Distinct().Order(StringComparer.Ordinal).ShouldBe(All().Select(key => $"{key} 1"), "state and positions are one commit");
        }

        runs.ShouldContain(run => run.Copies.Count > Records, "a process that dies between sending and journaling sends again");
    }

    [Fact]
    public void At_most_once_repeats_nothing_and_loses_what_was_read_and_not_sent()
    {
        var runs = EveryDeath(ProcessingGuarantee.AtMostOnce);
        foreach (var run in runs)
        {
            run.Copies.Distinct().Count().ShouldBe(run.Copies.Count);
            run.Totals.Distinct().Count().ShouldBe(run.Totals.Count);
            run.Totals.ShouldAllBe(total => total.EndsWith(" 1", StringComparison.Ordinal));
        }

        runs.ShouldContain(run => run.Copies.Count < Records, "a process that dies before it has sent does not read again");
        Run(ProcessingGuarantee.AtMostOnce, 0, false).Copies.Order(StringComparer.Ordinal).ShouldBe(All(), "without a crash nothing is lost");
    }

    [Fact]
    public void At_most_once_loses_nothing_when_it_is_stopped_in_order() => Turns.Run(async () =>
    {
        await using var storage = new MemoryLogStorage();
        var topics = new TaskTopics();
        for (var record = 0; record < Records; record++)
        {
            topics.Add(($"r{record}", record));
            await using var task = Of(ProcessingGuarantee.AtMostOnce, storage, topics);
            var run = task.Start();
            await Turns.UntilAsync(() => task.Status().RecordsIn == record + 1);
            await task.StopAsync();
            await run;
            task.State.ShouldBe(StreamTaskState.Stopped);
        }

        topics.End();
        await using var last = Of(ProcessingGuarantee.AtMostOnce, storage, topics);
        await last.Start();
        topics.Records(Output).Select(KeyOf).Order(StringComparer.Ordinal).ShouldBe(All());
    });

    [Fact]
    public void The_guarantee_may_change_from_start_to_start() => Turns.Run(async () =>
    {
        await using var storage = new MemoryLogStorage();
        var topics = new TaskTopics();
        var guarantees = Enum.GetValues<ProcessingGuarantee>();
        for (var record = 0; record < Records; record++)
        {
            topics.Add(($"r{record}", record));
            await using var task = Of(guarantees[record * 7 % 3], storage, topics);
            var run = task.Start();
            await Turns.UntilAsync(() => task.Status().RecordsIn == record + 1);
            await task.StopAsync();
            await run;
        }

        topics.End();
        await using var last = Of(ProcessingGuarantee.ExactlyOnce, storage, topics);
        await last.Start();
        topics.Records(Output).Select(KeyOf).Order(StringComparer.Ordinal).ShouldBe(All());
        topics.Records(Totals).Order(StringComparer.Ordinal).ShouldBe(All().Select(key => $"{key} 1"));
    });

    [Fact]
    public void What_is_read_from_a_file_cannot_be_processed_at_most_once()
    {
        var registry = new StreamApplicationRegistry(
        [
            new("app", (builder, _) => builder.FileSource<string, long>("rows", "/data/rows", (_, _) => ("k", 1, 1)).To(Output, Produced.With(Serdes.Utf8, Serdes.Int64)), new() { Guarantee = ProcessingGuarantee.AtMostOnce }),
        ]);
        Should.Throw<StreamsException>(() => registry.Build("app", ApplicationParameters.Empty)).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
    }

    [Fact]
    public void Nor_can_it_when_that_is_what_the_silo_says_and_the_application_says_nothing()
    {
        var silo = new ProcessingOptions { Guarantee = ProcessingGuarantee.AtMostOnce };
        StreamApplicationRegistration Named(string name, StreamApplicationOptions options) =>
            new(name, (builder, _) => builder.FileSource<string, long>("rows", "/data/rows", (_, _) => ("k", 1, 1)).To(Output, Produced.With(Serdes.Utf8, Serdes.Int64)), options);
        var registry = new StreamApplicationRegistry([Named("app", new()), Named("other", new() { Guarantee = ProcessingGuarantee.ExactlyOnce })], silo);
        Should.Throw<StreamsException>(() => registry.Build("app", ApplicationParameters.Empty)).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        Should.NotThrow(() => registry.Build("other", ApplicationParameters.Empty));
    }

    [Fact]
    public void Options_of_a_silo_that_cannot_be_used_are_refused_by_name_with_their_bounds()
    {
        (string Message, ProcessingOptions Options)[] wrong =
        [
            ("ProcessingOptions.Guarantee is 7: choose ExactlyOnce, AtLeastOnce or AtMostOnce.", new() { Guarantee = (ProcessingGuarantee)7 }),
            ("ProcessingOptions.CommitInterval is -00:00:01: give 00:00:00 to 01:00:00.", new() { CommitInterval = TimeSpan.FromSeconds(-1) }),
            ("ProcessingOptions.CommitInterval is 1.00:00:00: give 00:00:00 to 01:00:00.", new() { CommitInterval = TimeSpan.FromDays(1) }),
            ("ProcessingOptions.CommitBytes is 0: give 1 to 1073741824.", new() { CommitBytes = 0 }),
            ("ProcessingOptions.FetchBytes is 0: give 1 to 1073741824.", new() { FetchBytes = 0 }),
            ("ProcessingOptions.FileBlockBytes is -1: give 1 to 1073741824.", new() { FileBlockBytes = -1 }),
            ("ProcessingOptions.FetchWait is 00:02:00: give 00:00:00 to 00:01:00.", new() { FetchWait = TimeSpan.FromMinutes(2) }),
            ("ProcessingOptions.TurnLength is -00:00:01: give", new() { TurnLength = TimeSpan.FromSeconds(-1) }),
            ("ProcessingOptions.RetryPause is 00:00:00: give", new() { RetryPause = TimeSpan.Zero }),
            ("ProcessingOptions.RetryPauseMax is 00:00:00.0010000: give 00:00:00.0500000 to", new() { RetryPauseMax = TimeSpan.FromMilliseconds(1) }),
            ("ProcessingOptions.SupervisionInterval is 00:00:00: give", new() { SupervisionInterval = TimeSpan.Zero }),
            ("ProcessingOptions.QueryWait is -00:00:01: give", new() { QueryWait = TimeSpan.FromSeconds(-1) }),
            ("ProcessingOptions.PurgeInterval is 00:00:00: give", new() { PurgeInterval = TimeSpan.Zero }),
            ("ProcessingOptions.StateBytesMax is 0: give 1 to 9223372036854775807.", new() { StateBytesMax = 0 }),
            ("ProcessingOptions.SnapshotBytesMin is -1: give 0 to", new() { SnapshotBytesMin = -1 }),
        ];
        foreach (var (message, options) in wrong)
        {
            var refused = Should.Throw<StreamsException>(() => new StreamApplicationRegistry([], options), message);
            refused.Code.ShouldBe(StreamsErrorCode.InvalidConfig);
            refused.Message.ShouldStartWith(message);
        }
    }

    [Fact]
    public void An_applications_options_hold_before_the_silos_and_wrong_ones_are_refused()
    {
        var silo = new ProcessingOptions { CommitInterval = TimeSpan.FromSeconds(1), StateBytesMax = 5 };
        new StreamApplicationOptions().Over(silo).ShouldBe(silo);
        var own = new StreamApplicationOptions { CommitInterval = TimeSpan.Zero, Guarantee = ProcessingGuarantee.AtLeastOnce, StateBytesMax = 7 }.Over(silo);
        (own.CommitInterval, own.Guarantee, own.StateBytesMax).ShouldBe((TimeSpan.Zero, ProcessingGuarantee.AtLeastOnce, 7));
        StreamApplicationOptions[] wrong = [new() { CommitInterval = TimeSpan.FromTicks(-1) }, new() { CommitInterval = TimeSpan.FromDays(1) }, new() { StateBytesMax = 0 }, new() { Guarantee = (ProcessingGuarantee)9 }];
        foreach (var options in wrong)
        {
            Should.Throw<StreamsException>(() => options.Check("app")).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        }
    }

    private static List<(List<string> Copies, List<string> Totals)> EveryDeath(ProcessingGuarantee guarantee)
    {
        var runs = new List<(List<string> Copies, List<string> Totals)>();
        foreach (var afterwards in (bool[])[false, true])
        {
            for (var death = 1; death <= 10 * Records; death++)
            {
                var run = Run(guarantee, death, afterwards);
                if (!run.HasDied)
                {
                    break;
                }

                runs.Add((run.Copies, run.Totals));
            }
        }

        runs.Count.ShouldBeGreaterThan(2 * Records, "the journal is appended to as often as the outputs");
        return runs;
    }

    private static (List<string> Copies, List<string> Totals, bool HasDied) Run(ProcessingGuarantee guarantee, int diesAt, bool afterwards)
    {
        var result = (new List<string>(), new List<string>(), false);
        Turns.Run(async () =>
        {
            await using var storage = new MemoryLogStorage();
            var topics = new TaskTopics { DiesAt = diesAt, DiesAfterwards = afterwards };
            for (var record = 0; record < Records; record += 2)
            {
                topics.Add(($"r{record}", record), ($"r{record + 1}", record + 1));
            }

            topics.End();
            var run = Of(guarantee, topics.JournalsOf(storage), topics).Start();
            await Task.WhenAny(run, topics.Died);
            var hasDied = !run.IsCompleted;
            if (hasDied)
            {
                // The dead one hangs for ever where it was; the next one opens its journal.
                await using var next = Of(guarantee, storage, topics);
                await next.Start();
                next.State.ShouldBe(StreamTaskState.Completed);
            }

            result = ([.. topics.Records(Output).Select(KeyOf)], [.. topics.Records(Totals)], hasDied);
        });
        return result;
    }

    private static StreamTask Of(ProcessingGuarantee guarantee, ILogStorage storage, TaskTopics topics)
    {
        var builder = new StreamsBuilder();
        var events = builder.Stream(Input, Consumed.With(Serdes.Utf8, Serdes.Int64));
        events.MapValues(_ => "seen").To(Output, Produced.With(Serdes.Utf8, Serdes.Utf8));
        events.GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromDays(1))).Count(Materialized.As("seen", Serdes.Int64))
            .Map((window, count) => (window.Key, $"{count}")).To(Totals, Produced.With(Serdes.Utf8, Serdes.Utf8));
        var plan = Plan(builder.Build().SubTopologies.ShouldHaveSingleItem()) with { Guarantee = guarantee };
        var options = new ProcessingOptions { CommitInterval = TimeSpan.Zero, Guarantee = guarantee };
        return new StreamTask(plan, new TaskEnvironment(topics, storage, new PhysicalSourceFiles(), options, new ManualTime(), NullLogger.Instance), 0);
    }

    private static string KeyOf(string text) => text.Split(' ')[0];

    private static IEnumerable<string> All() => Enumerable.Range(0, Records).Select(record => $"r{record}").Order(StringComparer.Ordinal);
}
