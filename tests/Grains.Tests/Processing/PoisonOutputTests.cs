using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.EngineFixture;

namespace OrleansStreams.Processing;

/// <summary>Records whose results or dead letters no topic would take: they must be refused before they are in a commit, which has to be delivered.</summary>
public sealed class PoisonOutputTests
{
    private const string Dead = "dead";
    private const int OutputBytesMax = 400;

    [Theory]
    [InlineData(ProcessingGuarantee.ExactlyOnce)]
    [InlineData(ProcessingGuarantee.AtLeastOnce)]
    [InlineData(ProcessingGuarantee.AtMostOnce)]
    public void A_result_that_its_topic_does_not_take_is_taken_out_and_the_task_goes_on_also_at_its_next_start(ProcessingGuarantee guarantee) => Turns.Run(async () =>
    {
        await using var storage = new MemoryLogStorage();
        var topics = new TaskTopics { MaxMessageBytes = { [Output] = OutputBytesMax } };
        topics.Add(("large1", 1), ("a", 2), ("b", 3), ("large2", 4), ("large3", 5), ("c", 6));
        topics.Add(("large4", 7));
        topics.End();
        for (var start = 0; start < 2; start++)
        {
            await using var task = Of(storage, topics, Plan(ErrorPolicy.DeadLetter(Dead)) with { Guarantee = guarantee });
            await task.Start();
            task.Error.ShouldBeNull();
            task.State.ShouldBe(StreamTaskState.Completed);
            var status = task.Status();
            (status.RecordsIn, status.RecordsOut, status.SkippedRecords, status.DeadLetters).ShouldBe((7, 7, 4, 4));
        }

        KeysOf(topics, Output).ShouldBe(["a", "b", "c"]);
        topics.Records(Dead).Count.ShouldBe(4);
    });

    [Fact]
    public void A_result_without_a_key_for_a_compacted_topic_is_taken_out_and_the_task_goes_on() => Turns.Run(async () =>
    {
        await using var storage = new MemoryLogStorage();
        var topics = new TaskTopics { Compacted = { Output } };
        topics.Add((null, 1), ("a", 2), (null, 3), ("b", 4));
        topics.End();
        var plan = Plan(ErrorPolicy.Skip);
        await using var task = Of(storage, topics, plan with { Outputs = [.. plan.Outputs.Select(output => output with { IsCompacted = true })] });
        await task.Start();
        task.Error.ShouldBeNull();
        task.Status().SkippedRecords.ShouldBe(2);
        KeysOf(topics, Output).ShouldBe(["a", "b"]);
    });

    [Fact]
    public void A_dead_letter_without_a_key_for_a_compacted_topic_is_dropped_and_its_record_counts_as_skipped() => Turns.Run(async () =>
    {
        await using var storage = new MemoryLogStorage();
        var topics = new TaskTopics { Compacted = { Output, Dead } };
        topics.Add((null, 1), ("large", 2), ("b", 4));
        topics.End();
        var plan = Plan(ErrorPolicy.DeadLetter(Dead));
        await using var task = Of(storage, topics, plan with { Outputs = [.. plan.Outputs.Select(output => output with { IsCompacted = true })] });
        await task.Start();
        task.Error.ShouldBeNull();
        var status = task.Status();
        (status.SkippedRecords, status.DeadLetters).ShouldBe((2, 1));
        KeysOf(topics, Output).ShouldBe(["b"]);
    });

    [Fact]
    public void A_dead_letter_that_is_too_large_loses_the_stack_then_the_message_and_is_dropped_at_last()
    {
        var all = LetterOf(1 << 20);
        all.ShouldContain(DeadLetterHeaders.Stack);
        all.ShouldContain(DeadLetterHeaders.Message);
        LetterOf(900).ShouldBe(all.Where(header => header != DeadLetterHeaders.Stack));
        LetterOf(450).ShouldBe(all.Where(header => header is not (DeadLetterHeaders.Stack or DeadLetterHeaders.Message)));
        LetterOf(200).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_plan_knows_which_topics_are_compacted()
    {
        var topics = new MemoryTopics();
        await topics.CreateAsync(Input, 1, TopicConfig.Default);
        await topics.CreateAsync(Output, 1, TopicConfig.Default with { CleanupPolicy = CleanupPolicy.Compact | CleanupPolicy.Delete });
        await topics.CreateAsync(Dead, 1, TopicConfig.Default);
        var plan = (await ApplicationPlan.ResolveAsync("app", Describe(ErrorPolicy.DeadLetter(Dead)), topics)).TaskOf("0_0", new ProcessingOptions());
        var bytes = (await topics.DescribeAsync(Output)).Config.MaxMessageBytes;
        plan.Outputs.ShouldBe([new OutputTopic(Output, 1, bytes) { IsCompacted = true }, new OutputTopic(Dead, 1, bytes) { IsDeadLetter = true }]);
    }

    /// <summary>The names of a letter's headers, when its topic takes no larger batch; none when there is no letter.</summary>
    private static List<string> LetterOf(int maxMessageBytes)
    {
        var plan = Plan(ErrorPolicy.DeadLetter(Dead));
        var engine = Begun(plan with { Outputs = [plan.Outputs[0], plan.Outputs[1] with { MaxMessageBytes = maxMessageBytes }] });
        engine.ProcessBatch(0, Batch(0, ("failing", 1)));
        var commit = engine.Drain();
        var progress = engine.Progress;
        progress.SkippedRecords.ShouldBe(1);
        commit.DroppedLetters.ShouldBe(progress.DeadLetters == 0 ? 1 : 0);
        (commit.LastDroppedLetter ?? "max.message.bytes").ShouldContain("max.message.bytes");
        var headers = new List<string>();
        foreach (var item in commit.Outbox)
        {
            item.Batches.Length.ShouldBeLessThanOrEqualTo(maxMessageBytes);
            var reader = new RecordBatchReader(item.Batches);
            reader.TryRead(out var record).ShouldBeTrue();
            headers.AddRange(record.GetHeaders().Select(header => header.Key));
        }

        return headers;
    }

    private static StreamTask Of(ILogStorage storage, TaskTopics topics, TaskPlan plan)
    {
        var options = new ProcessingOptions { CommitInterval = TimeSpan.Zero, Guarantee = plan.Guarantee };
        return new StreamTask(plan, new TaskEnvironment(topics, storage, new PhysicalSourceFiles(), options, new ManualTime(), NullLogger.Instance), 0);
    }

    private static TaskPlan Plan(ErrorPolicy errors) => EngineFixture.Plan(Describe(errors).SubTopologies.ShouldHaveSingleItem(), OutputBytesMax);

    private static Topology Describe(ErrorPolicy errors)
    {
        var builder = new StreamsBuilder();
        builder.OnError(errors).Stream(Input, Consumed.With(Serdes.Utf8, Serdes.Int64)).MapValues(ValueOf).To(Output, Produced.With(Serdes.Utf8, Serdes.Utf8));
        return builder.Build();
    }

    private static string ValueOf(string? key, long value) =>
        key == "failing" ? throw new InvalidOperationException(new string('m', 300)) : key?.StartsWith("large", StringComparison.Ordinal) == true ? new string('x', 1000) : "small";

    private static IEnumerable<string> KeysOf(TaskTopics topics, string topic) => topics.Records(topic).Select(text => text.Split(' ')[0]).Order(StringComparer.Ordinal);
}
