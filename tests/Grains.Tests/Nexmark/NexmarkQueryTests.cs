using System.Globalization;
using OrleansStreams.Nexmark.Events;
using OrleansStreams.Nexmark.Queries;
using OrleansStreams.Nexmark.Queries.Stateless;
using OrleansStreams.Nexmark.Runs;
using OrleansStreams.Records;
using OrleansStreams.Testing;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark;

/// <summary>Every query's topology, and the loop written by hand that it is measured against, gives what its naive model gives.</summary>
public sealed class NexmarkQueryTests
{
    private const int Events = 100_000;

    // The driver takes its time over each of them.
    private const int DrivenEvents = 20_000;

    private static readonly Event[] s_events = NexmarkInput.Events(new NexmarkSettings(), Events);

    public static TheoryData<string> Queries => [.. NexmarkQueries.All.Select(query => query.Name)];

    [Theory]
    [MemberData(nameof(Queries))]
    public void The_topology_gives_what_the_model_gives_over_several_partitions_whatever_the_commits_and_a_crash_amid_them(string name)
    {
        var query = NexmarkQueries.Find(name)!;
        var seed = int.Parse(name[1..], CultureInfo.InvariantCulture);
        var random = new Random(seed);
        var options = new TopologyTestDriverOptions
        {
            Partitions = random.Next(2, 5),
            CommitEvery = random.Next(50, 3000),
            SnapshotBytesMin = 100_000,
            StartTime = DateTimeOffset.FromUnixTimeMilliseconds(NexmarkInput.ArrivalOf(0)),
        };
        var results = Drive(query, options, random);
        results.DifferenceFrom(query.Expect(s_events[..DrivenEvents])).ShouldBeNull($"{name}, seed {seed}, {options}");
    }

    [Theory]
    [MemberData(nameof(Queries))]
    public void The_topology_and_the_loop_by_hand_give_what_the_model_gives_however_batches_are_cut(string name)
    {
        var query = NexmarkQueries.Find(name)!;
        var expected = query.Expect(s_events);
        expected.Count.ShouldBeGreaterThan(0);

        // Query 12 looks at the clock, which goes on with every thousand events.
        var random = new Random(1);
        var batches = NexmarkInput.Batches(s_events, name == "q12" ? null : () => random.Next(1, 3000));
        var run = new TopologyRun(query, commitBytes: 64 * 1024);
        run.Run([batches]);
        run.LateRecords.ShouldBe(0);
        run.Results().DifferenceFrom(expected).ShouldBeNull(name);
        ByHand(query, batches).DifferenceFrom(expected).ShouldBeNull(name);
    }

    [Theory]
    [InlineData("q3")]
    [InlineData("q4")]
    [InlineData("q6")]
    [InlineData("q8")]
    [InlineData("q9")]
    [InlineData("q20")]
    public void Whichever_side_of_a_join_comes_first_it_meets_the_other_also_within_a_millisecond(string name)
    {
        // A hundred events in each ms: bids come before their auction within the ms in which it begins.
        var query = NexmarkQueries.Find(name)!;
        var events = NexmarkInput.Events(new NexmarkSettings { EventsPerSecond = 100_000 }, 20_000);
        var begun = new Dictionary<long, int>();
        for (var number = 0; number < events.Length; number++)
        {
            if (events[number].Kind == EventKind.Auction)
            {
                begun.Add(events[number].Key, number);
            }
        }

        events.Index().Count(item => item.Item.Kind == EventKind.Bid && begun.TryGetValue(item.Item.Key, out var number) && item.Index < number && item.Item.Time == events[number].Time)
            .ShouldBeGreaterThan(100);
        var expected = query.Expect(events);
        var batches = NexmarkInput.Batches(events);
        var run = new TopologyRun(query);
        run.Run([batches]);
        run.Results().DifferenceFrom(expected).ShouldBeNull(name);
        ByHand(query, batches).DifferenceFrom(expected).ShouldBeNull(name);
    }

    [Fact]
    public void Query_10_writes_each_hour_to_its_own_topic()
    {
        var query = new LogToTopics();
        var driver = DriverOf(query, new());
        var events = driver.CreateInput(NexmarkQuery.EventTopic, Serdes.Int64, new EventSerde(default));
        foreach (var item in s_events.Where(item => item.Kind == EventKind.Bid).Take(12_000))
        {
            events.Pipe(item.Key, item, item.Time);
        }

        var before = driver.CreateOutput(LogToTopics.TopicOf(23), Serdes.Int64, BidSerde.Instance).ReadAll();
        var after = driver.CreateOutput(LogToTopics.TopicOf(0), Serdes.Int64, BidSerde.Instance).ReadAll();
        (before.Length + after.Length).ShouldBe(12_000);
        before.ShouldAllBe(record => DateTimeOffset.FromUnixTimeMilliseconds(record.Value.Time).Hour == 23);
        after.ShouldAllBe(record => DateTimeOffset.FromUnixTimeMilliseconds(record.Value.Time).Hour == 0);
        after.ShouldNotBeEmpty();
    }

    [Fact]
    public void A_result_more_or_less_or_another_one_is_a_difference()
    {
        foreach (var isTable in (bool[])[false, true])
        {
            var expected = Of(isTable, (1, 1), (2, 2));
            Of(isTable, (2, 2), (1, 1)).DifferenceFrom(expected).ShouldBeNull();
            Of(isTable, (1, 1)).DifferenceFrom(expected).ShouldNotBeNull();
            Of(isTable, (1, 1), (2, 2), (3, 3)).DifferenceFrom(expected).ShouldNotBeNull();
            Of(isTable, (1, 1), (2, 3)).DifferenceFrom(expected).ShouldNotBeNull();
        }

        Of(false, (1, 1), (1, 1)).DifferenceFrom(Of(false, (1, 1))).ShouldNotBeNull();
        Of(true, (1, 0), (1, 1)).DifferenceFrom(Of(true, (1, 1))).ShouldBeNull();
    }

    private static ResultSet Of(bool isTable, params ReadOnlySpan<(int Key, int Value)> results)
    {
        var set = new ResultSet(isTable);
        foreach (var (key, value) in results)
        {
            set.Add([(byte)key], [(byte)value]);
        }

        return set;
    }

    private static ResultSet ByHand(NexmarkQuery query, List<byte[]> batches)
    {
        var loop = query.CreateLoop();
        for (var at = 0; at < batches.Count; at++)
        {
            loop.ClockMs = NexmarkInput.ArrivalOf((long)at * NexmarkInput.BatchEvents);
            loop.Run(batches[at]);
        }

        loop.Finish();
        var results = new ResultSet(query.IsTable);
        loop.Results.ToList().ForEach(batch => results.Add(batch));
        return results;
    }

    private static ResultSet Drive(NexmarkQuery query, TopologyTestDriverOptions options, Random random)
    {
        var driver = DriverOf(query, options);
        if (query.Side.Count > 0)
        {
            var side = driver.CreateInput(NexmarkQuery.SideTopic, Serdes.Int64, TextsSerde.Instance);
            foreach (var (key, value) in query.Side)
            {
                side.Pipe(key, value, 0);
            }

            driver.Commit();
        }

        var input = driver.CreateInput(NexmarkQuery.EventTopic, Serdes.Int64, new EventSerde(default));
        var crashAt = random.Next(DrivenEvents / 4, 3 * DrivenEvents / 4);
        for (var id = 0; id < DrivenEvents; id++)
        {
            if (id > 0 && NexmarkInput.ArrivalOf(id) != NexmarkInput.ArrivalOf(id - 1))
            {
                driver.AdvanceWallClock(TimeSpan.FromMilliseconds(NexmarkInput.ArrivalOf(id) - NexmarkInput.ArrivalOf(id - 1)));
            }

            input.Pipe(s_events[id].Key, s_events[id], s_events[id].Time);
            if (id == crashAt)
            {
                // Times of the wall clock are lost with what was not committed: a query that looks at it sees later ones.
                driver.Restart(query.Name == "q12" ? TestCrash.DuringDelivery : (TestCrash)random.Next(4));
            }
        }

        driver.CloseInputs();
        var results = new ResultSet(query.IsTable);
        foreach (var topic in query.OutputTopics)
        {
            foreach (var record in driver.CreateOutput(topic, Serdes.Bytes, Serdes.Bytes).ReadAll())
            {
                results.Add(record.Key, record.Value);
            }
        }

        return results;
    }

    private static TopologyTestDriver DriverOf(NexmarkQuery query, TopologyTestDriverOptions options)
    {
        var builder = new StreamsBuilder();
        query.Describe(builder);
        var partitions = options.TopicPartitions.Add(NexmarkQuery.SideTopic, 1);
        return new TopologyTestDriver(builder.Build(), options with { TopicPartitions = query.OutputTopics.Aggregate(partitions, (all, topic) => all.Add(topic, 1)) });
    }
}
