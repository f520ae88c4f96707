using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>Which topics an application makes for itself, and which topologies it refuses.</summary>
public sealed class RepartitionPlanTests
{
    private static readonly Repartitioned<string, long> s_repartitioned = Repartitioned.With(Serdes.Utf8, Serdes.Int64);

    [Fact]
    public async Task A_repartition_topic_has_the_partitions_of_its_largest_input_unless_it_is_told_otherwise()
    {
        var builder = new StreamsBuilder();
        var two = Stream(builder, "two");
        var five = Stream(builder, "five");
        two.Repartition(s_repartitioned.WithName("a")).Merge(five.Repartition(s_repartitioned.WithName("b"))).To("out", Produced.With(Serdes.Utf8, Serdes.Int64));
        two.Repartition(s_repartitioned.WithName("c")).Repartition(s_repartitioned.WithName("d")).To("out", Produced.With(Serdes.Utf8, Serdes.Int64));
        five.Repartition(s_repartitioned.WithName("e").WithNumberOfPartitions(3)).Repartition(s_repartitioned.WithName("f")).To("out", Produced.With(Serdes.Utf8, Serdes.Int64));
        two.Repartition(s_repartitioned.WithName("g")).Merge(five).To("out", Produced.With(Serdes.Utf8, Serdes.Int64));
        var topics = await TopicsAsync();

        var plan = await ApplicationPlan.ResolveAsync("app", builder.Build(), topics, create: true);

        foreach (var (name, partitions) in ((string, int)[])[("a", 5), ("b", 5), ("c", 2), ("d", 2), ("e", 3), ("f", 3), ("g", 5)])
        {
            var topic = await topics.DescribeAsync($"app-{name}-repartition");
            topic.PartitionCount.ShouldBe(partitions, name);
            (topic.Config.RetentionMs, topic.Config.RetentionBytes, topic.Config.CleanupPolicy).ShouldBe((-1, -1, CleanupPolicy.Delete));
        }

        plan.InternalTopics.Count().ShouldBe(7);
        plan.Inputs.ShouldContain(("app-a-repartition", 5));
    }

    [Fact]
    public async Task Topics_that_meet_must_have_equally_many_partitions()
    {
        var builder = new StreamsBuilder();
        Stream(builder, "two").Merge(Stream(builder, "five").Repartition(s_repartitioned.WithName("a").WithNumberOfPartitions(3))).To("out", Produced.With(Serdes.Utf8, Serdes.Int64));
        var error = await RefusedAsync(builder, await TopicsAsync());
        error.Code.ShouldBe(StreamsErrorCode.InvalidPartitions);
        error.Message.ShouldContain("two: 2, a-repartition: 3");
    }

    [Fact]
    public async Task A_repartition_topic_of_another_run_with_other_partitions_is_refused()
    {
        var topics = await TopicsAsync();
        await topics.CreateAsync("app-a-repartition", 4, TopicConfig.Default);
        var builder = new StreamsBuilder();
        Stream(builder, "two").Repartition(s_repartitioned.WithName("a")).To("out", Produced.With(Serdes.Utf8, Serdes.Int64));
        var error = await RefusedAsync(builder, topics);
        error.Code.ShouldBe(StreamsErrorCode.InvalidPartitions);
        error.Message.ShouldContain("with 4 partitions, now it would need 2");
    }

    [Fact]
    public async Task Tasks_make_no_topics()
    {
        var builder = new StreamsBuilder();
        Stream(builder, "two").Repartition(s_repartitioned.WithName("a")).To("out", Produced.With(Serdes.Utf8, Serdes.Int64));
        var topics = await TopicsAsync();
        (await Should.ThrowAsync<StreamsException>(() => ApplicationPlan.ResolveAsync("app", builder.Build(), topics))).Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
    }

    [Fact]
    public async Task A_window_that_would_wait_for_its_own_result_is_refused_and_a_stream_that_meets_its_own_past_is_not()
    {
        var window = new StreamsBuilder();
        var first = Stream(window, "two").Repartition(s_repartitioned.WithName("a"));
        first.GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromSeconds(1))).Count(Materialized.As("store", Serdes.Int64)).Map((key, count) => (key.Key, count))
            .Repartition(s_repartitioned.WithName("b")).Merge(first).To("out", Produced.With(Serdes.Utf8, Serdes.Int64));
        var error = await RefusedAsync(window, await TopicsAsync());
        error.Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        error.Message.ShouldContain("'b-repartition'");

        var map = new StreamsBuilder();
        var stream = Stream(map, "two").Repartition(s_repartitioned.WithName("a"));
        stream.SelectKey((key, value) => key + value).Repartition(s_repartitioned.WithName("b")).Merge(stream).To("out", Produced.With(Serdes.Utf8, Serdes.Int64));
        var plan = await ApplicationPlan.ResolveAsync("app", map.Build(), await TopicsAsync(), create: true);
        plan.Tasks.Length.ShouldBe(4);
    }

    [Fact]
    public void Two_repartitionings_of_one_name_are_refused_and_a_stream_with_its_own_key_is_not_repartitioned()
    {
        var builder = new StreamsBuilder();
        var stream = Stream(builder, "two");
        stream.Repartition(s_repartitioned.WithName("a")).Repartition(s_repartitioned.WithName("a"));
        Should.Throw<StreamsException>(builder.Build).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        Should.Throw<StreamsException>(() => s_repartitioned.WithNumberOfPartitions(0)).Code.ShouldBe(StreamsErrorCode.InvalidPartitions);

        var grouped = new StreamsBuilder();
        Stream(grouped, "two").Filter((_, value) => value > 0).GroupByKey(Grouped.With(Serdes.Utf8, Serdes.Int64))
            .WindowedBy(TumblingWindows.Of(TimeSpan.FromSeconds(1))).Count(Materialized.As("store", Serdes.Int64));
        grouped.Build().SubTopologies.Length.ShouldBe(1);
        var regrouped = new StreamsBuilder();
        Stream(regrouped, "two").GroupBy((key, _) => key[..1], Grouped.With(Serdes.Utf8, Serdes.Int64).WithName("letter"))
            .WindowedBy(TumblingWindows.Of(TimeSpan.FromSeconds(1))).Count(Materialized.As("store", Serdes.Int64));
        regrouped.Build().Describe().ShouldContain("letter: to letter-repartition\nSub-topology 1\n  letter-source: topic letter-repartition");
    }

    private static KStream<string, long> Stream(StreamsBuilder builder, string topic) => builder.Stream(topic, Consumed.With(Serdes.Utf8, Serdes.Int64));

    private static Task<StreamsException> RefusedAsync(StreamsBuilder builder, MemoryTopics topics) =>
        Should.ThrowAsync<StreamsException>(() => ApplicationPlan.ResolveAsync("app", builder.Build(), topics, create: true));

    private static async Task<MemoryTopics> TopicsAsync()
    {
        var topics = new MemoryTopics();
        await topics.CreateAsync("two", 2, TopicConfig.Default);
        await topics.CreateAsync("five", 5, TopicConfig.Default);
        await topics.CreateAsync("out", 1, TopicConfig.Default);
        return topics;
    }
}
