using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.ProcessingCluster;
using static OrleansStreams.Processing.ServingTests;

namespace OrleansStreams.Processing;

/// <summary>Versions beside each other: whose topics they write, what a switch between two calls does.</summary>
public sealed class VersionTests
{
    private const int Partitions = 2;
    private const string Second = Application + "@v2";

    private static readonly TimeSpan s_wait = TimeSpan.FromSeconds(20);
    private static readonly Consumed<string, long> s_consumed = Consumed.With(Serdes.Utf8, Serdes.Int64);
    private static readonly Produced<string, long> s_produced = Produced.With(Serdes.Utf8, Serdes.Int64);

    [Theory]
    [InlineData("out")]
    [InlineData("late")]
    [InlineData("poison")]
    [InlineData("middle")]
    public async Task A_version_that_would_write_into_a_topic_of_one_that_runs_is_refused_whichever_comes_first(string shared)
    {
        await using var cluster = await StartAsync((builder, parameters) => Shared(builder, parameters, shared));
        foreach (var topic in (string[])["in", shared, "own-", "own-v2"])
        {
            await cluster.CreateTopicAsync(topic, Partitions);
        }

        var client = Client(cluster);
        await client.Applications.StartAsync(Application);

        var error = await Should.ThrowAsync<StreamsException>(() => client.Applications.StartAsync(Second));
        error.Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        error.Message.ShouldContain($"'{shared}'");
        error.Message.ShouldContain("parameters.Version");
        (await client.Applications.ListAsync()).ShouldBe([Application], "what was refused was not started");

        if (shared == "middle")
        {
            // A version that is stopped still goes on behind what it has read: what another one writes there would be taken for new.
            await client.Applications.StopAsync(Application);
            await Should.ThrowAsync<StreamsException>(() => client.Applications.StartAsync(Second));
            return;
        }

        await client.Applications.StopAsync(Application);
        await client.Applications.StartAsync(Second);
        (await Should.ThrowAsync<StreamsException>(() => client.Applications.StartAsync(Application))).Message.ShouldContain($"'{Second}'");
    }

    [Fact]
    public async Task Of_two_versions_that_are_started_at_the_same_time_not_both_come_to_write_one_topic()
    {
        await using var cluster = await StartAsync((builder, _) => builder.Stream("in", s_consumed).To("out", s_produced));
        await cluster.CreateTopicAsync("in", Partitions);
        await cluster.CreateTopicAsync("out", Partitions);
        var client = Client(cluster);

        var starts = await Task.WhenAll(((string[])[Application + "@a", Application + "@b", Application + "@c"]).Select(async name =>
        {
            try
            {
                await client.Applications.StartAsync(name);
                return 1;
            }
            catch (StreamsException error) when (error.Code == StreamsErrorCode.InvalidConfig)
            {
                return 0;
            }
        }));

        starts.Sum().ShouldBeLessThanOrEqualTo(1);
    }

    [Fact]
    public async Task A_version_that_writes_what_another_one_reads_is_refused_and_one_that_reads_what_another_one_writes_is_not()
    {
        await using var cluster = await StartAsync((builder, parameters) => builder
            .Stream(parameters.Version == "next" ? "out" : "in", s_consumed).To(parameters.Version switch { "back" => "in", "next" => "end", _ => "out" }, s_produced));
        foreach (var topic in (string[])["in", "out", "end"])
        {
            await cluster.CreateTopicAsync(topic, Partitions);
        }

        var client = Client(cluster);
        await client.Applications.StartAsync(Application);
        await client.Applications.StartAsync(Application + "@next");
        await client.Applications.StopAsync(Application);
        await client.Applications.StartAsync(Application);
        (await Should.ThrowAsync<StreamsException>(() => client.Applications.StartAsync(Application + "@back"))).Message.ShouldContain("'in'");
    }

    [Fact]
    public async Task A_version_gets_its_topics_and_parameters_like_the_first_ones_and_its_intermediate_topic_goes_with_it()
    {
        await using var cluster = await StartAsync((builder, parameters) => builder
            .Stream("in", s_consumed).Filter((_, value) => value < parameters.GetInt64("below", 0)).Through(Named("middle", parameters), s_produced, s_consumed).To(Named("out", parameters), s_produced));
        foreach (var topic in (string[])["in", "middle", "out"])
        {
            await cluster.CreateTopicAsync(topic, Partitions);
        }

        var client = Client(cluster);
        await client.Applications.StartAsync(Application, NoParameters.Add("below", "10"));
        await ProduceAsync(client, Enumerable.Range(0, 20).Select(i => (Key(i), 0L)));

        (await client.Applications.StartAsync(Second)).Parameters["below"].ShouldBe("10");

        var made = await client.Admin.DescribeTopicAsync("out-v2");
        (made.PartitionCount, made.Config.RetentionMs).ShouldBe((Partitions, -1));
        await WrittenAsync("out-v2", 10);
        await WrittenAsync("out", 10);
        await client.Applications.DropAsync(Second);
        (await Should.ThrowAsync<StreamsException>(() => client.Admin.DescribeTopicAsync("middle-v2"))).Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        (await cluster.ReadAsync("out-v2", Partitions)).Count.ShouldBe(10, "results stay");

        // A beginning after that reads nothing twice.
        await client.Applications.StartAsync(Second);
        await WrittenAsync("out-v2", 20);
        await client.Applications.StopAsync(Second);
        (await cluster.ReadAsync("middle-v2", Partitions)).Count.ShouldBe(10);

        async Task WrittenAsync(string topic, int count) => await EventuallyAsync(() => cluster.ReadAsync(topic, Partitions), records => records.Count == count);
    }

    [Fact]
    public async Task A_page_under_an_alias_that_was_switched_meanwhile_is_refused_and_one_of_the_same_application_goes_on()
    {
        await using var cluster = await StartAsync((builder, _) => builder.Stream("in", s_consumed).GroupByKey().Count(Materialized.As("counts", Serdes.Int64)));
        await cluster.CreateTopicAsync("in", Partitions);
        var client = Client(cluster);
        await client.Applications.StartAsync(Application);
        var last = await ProduceAsync(client, Enumerable.Range(0, 10).Select(i => (Key(i), 0L)));
        await client.Applications.StartAsync(Second);
        var fresh = new QueryFreshness { AtLeast = [.. last], Wait = s_wait };
        await PageAsync(Second, default, fresh);
        await client.Applications.SwitchAsync("serving", Application);
        var first = await PageAsync("serving", default, fresh);
        (await PageAsync("serving", first.Continuation, fresh)).Rows.Length.ShouldBe(4);
        (await PageAsync(Application, first.Continuation, fresh)).Rows.Length.ShouldBe(4);

        await client.Applications.SwitchAsync("serving", Second);

        var error = await Should.ThrowAsync<StreamsException>(() => PageAsync("serving", first.Continuation, fresh));
        error.Code.ShouldBe(StreamsErrorCode.ContinuationOutdated);
        error.Message.ShouldContain("begin again");
        (await PageAsync("serving", default, fresh)).Application.ShouldBe(Second);

        Task<RangeQueryResult<string, long>> PageAsync(string name, ReadOnlyMemory<byte> continuation, QueryFreshness fresh) =>
            client.Applications.QueryRangeAsync(name, "counts", new StoreRange { Limit = 4, Continuation = continuation }, Serdes.Utf8, Serdes.Int64, fresh);
    }

    [Fact]
    public async Task The_windows_of_a_key_are_not_paged_over_a_switch_either()
    {
        await using var cluster = await StartAsync((builder, _) => builder
            .Stream("in", s_consumed).GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(100))).Count(Materialized.As("windows", Serdes.Int64)));
        await cluster.CreateTopicAsync("in", Partitions);
        var client = Client(cluster);
        var last = await ProduceAsync(client, Enumerable.Range(0, 5).Select(i => (Key(1), i * 100L)));
        var query = new StateQuery("windows", Bytes(Key(1)), long.MinValue, long.MaxValue, 2) { AtLeast = [.. last], WaitMs = 20_000 };
        foreach (var name in (string[])[Application, Second])
        {
            await client.Applications.StartAsync(name);
            await EventuallyAsync(() => client.Applications.GetStatusAsync(name), status => status.Tasks.All(task => task.State == StreamTaskState.Running));
        }

        await client.Applications.SwitchAsync("serving", Application);
        var serving = cluster.Grains.GetGrain<IStreamApplicationGrain>("serving");
        var first = await serving.QueryAsync(query);
        (await serving.QueryAsync(query with { Continuation = first.Continuation })).Entries.Select(entry => entry.WindowStartMs).ShouldBe([200, 300]);

        await client.Applications.SwitchAsync("serving", Second);

        (await Should.ThrowAsync<StreamsException>(() => serving.QueryAsync(query with { Continuation = first.Continuation }))).Code.ShouldBe(StreamsErrorCode.ContinuationOutdated);
    }

    [Fact]
    public async Task An_application_to_which_an_alias_is_being_switched_is_not_dropped()
    {
        await using var cluster = await StartAsync((builder, _) => builder.Stream("in", s_consumed).GroupByKey().Count(Materialized.As("counts", Serdes.Int64)));
        await cluster.CreateTopicAsync("in", Partitions);
        var client = Client(cluster);
        await client.Applications.StartAsync(Application);
        Task? drop = null;
        string? seen = "nothing";
        cluster.States.BeforeWrite = async address =>
        {
            if (address.ToString().Contains("directory", StringComparison.OrdinalIgnoreCase) && drop is null)
            {
                drop = cluster.App.DropAsync();

                // Nobody is told of a switch that may fail yet.
                seen = await cluster.Grains.GetGrain<IApplicationDirectoryGrain>(IApplicationDirectoryGrain.Key).ResolveAsync("serving");
                await EventuallyAsync(cluster.App.GetStatusAsync, status => status.State == StreamApplicationState.Stopped);
            }
        };

        await client.Applications.SwitchAsync("serving", Application);

        seen.ShouldBeNull();
        (await Should.ThrowAsync<StreamsException>(() => drop!)).Message.ShouldContain("'serving'");
        (await client.Applications.GetStatusAsync("serving")).State.ShouldBe(StreamApplicationState.Running);
    }

    [Fact]
    public async Task An_alias_that_could_not_be_stored_stands_for_nothing()
    {
        await using var cluster = await StartAsync((builder, _) => builder.Stream("in", s_consumed).GroupByKey().Count(Materialized.As("counts", Serdes.Int64)));
        await cluster.CreateTopicAsync("in", Partitions);
        var client = Client(cluster);
        await client.Applications.StartAsync(Application);
        cluster.States.BeforeWrite = _ => throw new IOException("the disk is gone");
        var directory = cluster.Grains.GetGrain<IApplicationDirectoryGrain>(IApplicationDirectoryGrain.Key);

        (await Should.ThrowAsync<StreamsException>(() => directory.SwitchAsync("serving", Application))).Code.ShouldBe(StreamsErrorCode.StorageError);

        (await EventuallyAsync(directory.ListAliasesAsync, _ => true)).ShouldBeEmpty();
        cluster.States.BeforeWrite = null;
        await client.Applications.SwitchAsync("serving", Application);
    }

    [Fact]
    public async Task What_is_done_to_an_application_is_refused_under_an_alias_which_tells_the_application()
    {
        await using var cluster = await StartAsync((builder, _) => builder.Stream("in", s_consumed).GroupByKey().Count(Materialized.As("counts", Serdes.Int64)));
        await cluster.CreateTopicAsync("in", Partitions);
        var client = Client(cluster);
        await client.Applications.StartAsync(Application);
        await client.Applications.SwitchAsync("serving", Application);

        foreach (var call in (Func<Task>[])
        [
            () => client.Applications.PauseAsync("serving"), () => client.Applications.ResumeAsync("serving"), () => client.Applications.StartAsync("serving"),
            () => client.Applications.StopAsync("serving"), () => client.Applications.DropAsync("serving"), () => client.Applications.ResetAsync("serving", StreamPosition.Earliest),
        ])
        {
            (await Should.ThrowAsync<StreamsException>(call)).Message.ShouldContain($"name '{Application}'");
        }
    }

    private static string Named(string topic, ApplicationParameters parameters) => parameters.Version.Length == 0 ? topic : $"{topic}-{parameters.Version}";

    private static void Shared(StreamsBuilder builder, ApplicationParameters parameters, string shared)
    {
        var stream = builder.Stream("in", shared == "poison" ? s_consumed.OnError(ErrorPolicy.DeadLetter(shared)) : s_consumed);
        stream = shared == "middle" ? stream.Through(shared, s_produced, s_consumed) : stream;
        if (shared == "late")
        {
            stream.GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromSeconds(1))).LateTo(shared).Count(Materialized.As("windows", Serdes.Int64));
        }

        stream.To(shared == "out" ? shared : "own-" + parameters.Version, s_produced);
    }
}
