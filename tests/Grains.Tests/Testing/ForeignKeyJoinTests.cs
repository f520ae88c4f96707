using System.Buffers;
using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Errors;
using OrleansStreams.Processing.Joins;
using OrleansStreams.Processing.State;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Testing.TableScripts;

namespace OrleansStreams.Testing;

/// <summary>Rows "foreign key:value" ("_" is a null foreign key) meet another table. A result is value+other, _ for what is not there, - for a deletion.</summary>
public sealed class ForeignKeyJoinTests
{
    [Theory]
    [InlineData("left.1=a:x", "", "1=x+_")]
    [InlineData("right.a=R", "", "")]
    [InlineData("left.1=a:x right.a=R", "1=x+R", "1=x+_ 1=x+R")]
    [InlineData("right.a=R left.1=a:x", "1=x+R", "1=x+R")]
    [InlineData("right.a=R left.1=a:x left.1=a:y", "1=x+R 1=y+R", "1=x+R 1=y+R")] // the row changes, its foreign key stays
    [InlineData("right.a=R left.1=a:x right.a=S", "1=x+R 1=x+S", "1=x+R 1=x+S")]
    [InlineData("right.a=R left.1=a:x left.2=a:y right.a=S", "1=x+R 2=y+R 1=x+S 2=y+S", "1=x+R 2=y+R 1=x+S 2=y+S")] // many rows of one foreign key
    [InlineData("right.a=R left.1=a:x left.2=a:y right.a=-", "1=x+R 2=y+R 1=- 2=-", "1=x+R 2=y+R 1=x+_ 2=y+_")]
    [InlineData("right.a=R right.b=S left.1=a:x left.1=b:x", "1=x+R 1=x+S", "1=x+R 1=x+S")] // from one foreign key to another
    [InlineData("right.a=R right.b=S left.1=a:x left.1=b:x right.a=T", "1=x+R 1=x+S", "1=x+R 1=x+S")] // the one that was left tells nothing any more
    [InlineData("right.a=R right.b=S left.1=a:x left.1=b:x left.1=a:y", "1=x+R 1=x+S 1=y+R", "1=x+R 1=x+S 1=y+R")]
    [InlineData("right.a=R left.1=a:x left.1=b:x", "1=x+R 1=-", "1=x+R 1=x+_")] // to one that is not there
    [InlineData("right.a=R left.1=a:x left.1=b:x right.b=S", "1=x+R 1=- 1=x+S", "1=x+R 1=x+_ 1=x+S")]
    [InlineData("right.a=R left.1=a:x left.1=-", "1=x+R 1=-", "1=x+R 1=-")]
    [InlineData("left.1=a:x left.1=-", "", "1=x+_ 1=-")]
    [InlineData("right.a=R left.1=a:x left.1=- right.a=S", "1=x+R 1=-", "1=x+R 1=-")]
    [InlineData("right.a=R left.1=a:x left.1=- left.1=a:y", "1=x+R 1=- 1=y+R", "1=x+R 1=- 1=y+R")]
    [InlineData("right.a=R left.1=a:x right.a=-", "1=x+R 1=-", "1=x+R 1=x+_")]
    [InlineData("right.a=R left.1=a:x right.a=- right.a=S", "1=x+R 1=- 1=x+S", "1=x+R 1=x+_ 1=x+S")]
    [InlineData("right.a=R left.1=a:x right.a=- left.1=-", "1=x+R 1=-", "1=x+R 1=x+_ 1=-")] // deleted once
    [InlineData("left.1=_:x", "", "1=x+_")] // a null foreign key
    [InlineData("left.1=_:x left.1=_:y", "", "1=x+_ 1=y+_")]
    [InlineData("left.1=_:x left.1=-", "", "1=x+_ 1=-")]
    [InlineData("right.a=R left.1=_:x left.1=a:x", "1=x+R", "1=x+_ 1=x+R")]
    [InlineData("right.a=R left.1=a:x left.1=_:y", "1=x+R 1=-", "1=x+R 1=y+_")]
    [InlineData("right.a=R left.1=a:x left.1=_:y right.a=S", "1=x+R 1=-", "1=x+R 1=y+_")]
    [InlineData("left.1=- right.a=-", "", "")]
    [InlineData("left.1=a:x left.2=ab:y right.a=R right.ab=S", "1=x+R 2=y+S", "1=x+_ 2=y+_ 1=x+R 2=y+S")] // foreign keys that begin alike
    [InlineData("left.1=a:x left.11=a:y right.a=R left.1=- right.a=S", "1=x+R 11=y+R 1=- 11=y+S", "1=x+_ 11=y+_ 1=x+R 11=y+R 1=- 11=y+S")] // rows that do
    public void The_result_follows_both_tables(string script, string inner, string left)
    {
        foreach (var (isLeft, expected) in ((bool, string)[])[(false, inner), (true, left)])
        {
            foreach (var crashes in (TestCrash[][])[[], [TestCrash.BeforeCommit], [TestCrash.AfterDelivery, TestCrash.BeforeCommit]])
            {
                Results(Drive(Describe(isLeft), script, crashes, close: true, new() { SnapshotBytesMin = 200 })).ShouldBe(expected, $"left: {isLeft}, crashes: {crashes.Length}");
            }
        }
    }

    [Fact]
    public void An_answer_for_a_foreign_key_that_the_row_has_left_meanwhile_is_dropped()
    {
        // Two changes of the row in one commit: the first one's answer finds the row with its second foreign key.
        foreach (var crash in Enum.GetValues<TestCrash>())
        {
            var driver = Drive(Describe(isLeft: false), "right.a=R right.b=S left.1=a:x left.1=b:x", [], options: new() { CommitEvery = 4 });
            driver.Restart(crash);
            driver.Commit();
            Results(driver).ShouldBe("1=x+S", $"{crash}");
            driver.GetStore("joined", Serdes.Utf8, Serdes.Utf8).All().ShouldBe([new("1", "x+S")]);
        }
    }

    [Fact]
    public void A_row_that_comes_back_to_a_foreign_key_which_was_deleted_meanwhile_has_no_result()
    {
        var driver = Drive(Describe(isLeft: false), "right.a=R left.1=a:x left.1=- right.a=- left.1=a:x", [], options: new() { CommitEvery = 10 });
        driver.Commit();
        driver.GetStore("joined", Serdes.Utf8, Serdes.Utf8).All().ShouldBeEmpty();
    }

    [Fact]
    public void The_result_has_the_time_and_the_headers_of_what_changed_it()
    {
        var driver = new TopologyTestDriver(Describe(isLeft: false));
        driver.CreateInput("right", Serdes.Utf8, Serdes.Utf8).Pipe("a", "R", 500, [new RecordHeader("r", "x"u8.ToArray())]);
        driver.CreateInput("left", Serdes.Utf8, Serdes.Utf8).Pipe("1", "a:x", 100, [new RecordHeader("l", "x"u8.ToArray())]);
        driver.CreateInput("right", Serdes.Utf8, Serdes.Utf8).Pipe("a", "S", 300, [new RecordHeader("r", "x"u8.ToArray())]);
        driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => (record.Value, record.Timestamp, record.Headers.Single().Key))
            .ShouldBe([("x+R", 100, "l"), ("x+S", 300, "r")]);
    }

    [Fact]
    public void A_table_is_joined_with_itself_and_with_tables_that_follow_from_others()
    {
        var builder = new StreamsBuilder();
        var people = builder.Table("people", Texts);
        var (managers, names) = (people.Filter((_, person) => !person.StartsWith("_:", StringComparison.Ordinal)), people.MapValues(person => person.Split(':')[1]));
        var joined = managers.LeftJoin(names, ForeignKeyOf, (person, boss) => $"{person.Split(':')[1]}<{boss ?? "_"}", Materialized.As("joined", Serdes.Utf8), Serdes.Utf8);
        joined.Join(names, (both, own) => $"{both},{own}", Materialized.As("both", Serdes.Utf8)).ToStream().To("out", ToTexts);
        Results(Drive(builder.Build(), "people.1=_:ann people.2=1:bob people.3=2:cid ! people.1=_:eve people.2=3:bob", [])).ShouldBe(
            "2=bob<ann,bob 3=cid<bob,cid 2=bob<eve,bob 2=bob<eve,bob 3=cid<bob,cid 2=bob<cid,bob");
    }

    [Fact]
    public void Keys_of_value_types_are_joined()
    {
        var builder = new StreamsBuilder();
        var orders = builder.Table("orders", Consumed.With(Serdes.Int64, Serdes.Int64));
        var prices = builder.Table("prices", Consumed.With(Serdes.Int64, Serdes.Int64));
        orders.Join(prices, (order, item) => item, (item, price) => (item * 1000) + price, Materialized.As("joined", Serdes.Int64));
        var driver = new TopologyTestDriver(builder.Build(), new() { TopicPartitions = StreamTableJoinTests.Partitions(("orders", 3), ("prices", 2)) });
        driver.CreateInput("orders", Serdes.Int64, Serdes.Int64).Pipe(1, 7, 1);
        driver.CreateInput("orders", Serdes.Int64, Serdes.Int64).Pipe(2, 0, 1);
        driver.CreateInput("prices", Serdes.Int64, Serdes.Int64).Pipe(7, 5, 1);
        driver.CreateInput("prices", Serdes.Int64, Serdes.Int64).Pipe(0, 6, 1);
        driver.GetStore("joined", Serdes.Int64, Serdes.Int64).All().ShouldBe([new(1, 7005), new(2, 6)]);
        driver.CreateInput("prices", Serdes.Int64, Serdes.Int64).PipeNull(0, 1);
        driver.GetStore("joined", Serdes.Int64, Serdes.Int64).All().ShouldBe([new(1, 7005)]);
    }

    [Fact]
    public void What_follows_a_join_can_subtract_what_it_was_told_before()
    {
        var builder = new StreamsBuilder();
        Join(builder, isLeft: true).GroupBy((_, result) => (result[^1..], 1L), Grouped.With(Serdes.Utf8, Serdes.Int64)).Count(Materialized.As("counts", Serdes.Int64));
        var driver = Drive(builder.Build(), "left.1=a:x left.2=a:y right.a=R left.3=b:z ! left.1=b:x right.b=S left.2=-", [], close: true);
        driver.GetStore("counts", Serdes.Utf8, Serdes.Int64).All().ShouldBe([new("R", 0), new("S", 2), new("_", 0)]);
    }

    [Fact]
    public void A_join_by_foreign_key_prints_its_way_there_and_back()
    {
        Describe(isLeft: false).Describe().ShouldBe(
            """
            Sub-topology 0
              source-0: topic left key utf8 value utf8 -> to-table-1
              to-table-1: to-table store left-1 key utf8 value utf8 -> foreign-key-4, foreign-key-join-10
              foreign-key-4: foreign-key -> joined-subscription
              joined-subscription: to joined-subscription-repartition
              joined-answer-source: topic joined-answer-repartition key utf8 value foreign-key-answer(utf8) -> foreign-key-join-10
              foreign-key-join-10: foreign-key-join store joined key utf8 value utf8 -> to-stream-11
              to-stream-11: to-stream -> sink-12
              sink-12: to out
            Sub-topology 1
              source-2: topic right key utf8 value utf8 -> to-table-3
              to-table-3: to-table store right-3 key utf8 value utf8 -> foreign-key-lookup-7
              joined-subscription-source: topic joined-subscription-repartition key utf8 value foreign-key-subscription -> foreign-key-lookup-7
              foreign-key-lookup-7: foreign-key-lookup store joined-subscriptions key utf8 -> joined-answer
              joined-answer: to joined-answer-repartition

            """);
        Describe(isLeft: true).ToMermaid().ShouldContain("foreign-key-left-join-10");
    }

    [Fact]
    public void Joins_that_cannot_be_are_refused()
    {
        var builder = new StreamsBuilder();
        var (left, right) = (builder.Table("left", Texts), builder.Table("right", Texts));
        var kept = Materialized.As("joined", Serdes.Utf8);
        Should.Throw<StreamsException>(() => left.Join(new StreamsBuilder().Table("right", Texts), ForeignKeyOf, (one, two) => one + two, kept)).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        Should.Throw<StreamsException>(() => left.Join(right.MapValues(value => value.Length), ForeignKeyOf, (one, two) => $"{one}{two}", kept)).Message.ShouldContain("serde of its values");

        // What is held back by the watermark would wait for answers that wait for it.
        left.Suppress(Suppressed.UntilTimeLimit(TimeSpan.FromSeconds(1), BufferConfig.Unbounded())).Join(right, ForeignKeyOf, (one, two) => one + two, kept);
        Should.Throw<StreamsException>(() => new TopologyTestDriver(builder.Build())).Message.ShouldContain("each would wait for the other's time");
    }

    [Fact]
    public void A_joiner_that_fails_stops_the_task_and_a_null_result_is_none()
    {
        var builder = new StreamsBuilder();
        builder.Table("left", Texts).Join(
                builder.Table("right", Texts),
                ForeignKeyOf,
                (_, other) => other == "bad" ? throw new InvalidOperationException("no") : other == "none" ? null! : other,
                Materialized.As("joined", Serdes.Utf8))
            .ToStream().To("out", ToTexts);
        var driver = Drive(builder.Build(), "left.1=a:x right.a=R right.a=none right.a=S", []);
        Results(driver).ShouldBe("1=R 1=- 1=S");
        Should.Throw<StreamsException>(() => Pipe(driver, "right.a=bad")).Code.ShouldBe(StreamsErrorCode.InvalidInput);
    }

    [Fact]
    public void The_result_is_that_of_two_dictionaries_over_any_partitions_commits_and_crashes() => Check.One(
        PropertyRuns.Of(150), Prop.ForAll(ArbMap.Default.ArbFor<int>(), RunModel));

    private static void RunModel(int seed)
    {
        var random = new System.Random(seed);
        var isLeft = random.Next(2) == 0;
        var partitions = StreamTableJoinTests.Partitions(("left", random.Next(1, 4)), ("right", random.Next(1, 4)));
        var driver = new TopologyTestDriver(Describe(isLeft), new() { TopicPartitions = partitions, CommitEvery = random.Next(1, 8), SnapshotBytesMin = 300 });
        var (rows, others, told) = (new SortedDictionary<string, string>(StringComparer.Ordinal), new Dictionary<string, string>(), new SortedDictionary<string, string>(StringComparer.Ordinal));
        string[] foreignKeys = ["a", "aa", "b", "_"];
        for (var step = 0; step < 80; step++)
        {
            var (isRow, isDeleted) = (random.Next(3) > 0, random.Next(4) == 0);
            var (key, value) = isRow ? ($"{random.Next(5)}", $"{foreignKeys[random.Next(4)]}:{step}") : (foreignKeys[random.Next(3)], $"{step}");
            Pipe(driver, $"{(isRow ? "left" : "right")}.{key}={(isDeleted ? "-" : value)}@{step}");
            IDictionary<string, string> table = isRow ? rows : others;
            table.Remove(key);
            if (!isDeleted)
            {
                table.Add(key, value);
            }

            if (random.Next(8) == 0)
            {
                driver.Restart((TestCrash)random.Next(4));
            }
        }

        driver.Commit();
        var expected = rows.Select(row => (row.Key, Found: others.GetValueOrDefault(row.Value.Split(':')[0]), Value: row.Value.Split(':')[1]))
            .Where(row => isLeft || row.Found is not null).Select(row => KeyValuePair.Create(row.Key, $"{row.Value}+{row.Found ?? "_"}")).ToArray();
        driver.GetStore("joined", Serdes.Utf8, Serdes.Utf8).All().ToArray().ShouldBe(expected, $"left: {isLeft}");
        foreach (var record in driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll())
        {
            (record.Value is null && !told.ContainsKey(record.Key!)).ShouldBeFalse("what is not there is deleted");
            told.Remove(record.Key!);
            if (record.Value is not null)
            {
                told.Add(record.Key!, record.Value);
            }
        }

        told.ToArray().ShouldBe(expected, "and all of it was told");
        driver.GetStore("joined-subscriptions", Serdes.Bytes, new NothingSerde()).Count.ShouldBe(rows.Values.Count(row => row[0] != '_'), "nobody stays subscribed who is gone");
    }

    [Fact]
    public void Subscriptions_to_one_foreign_key_are_found_among_all_others()
    {
        var store = new KeyValueStore<byte[], Nothing>("subscriptions", Serdes.Bytes, new NothingSerde());
        var subscriptions = new ForeignKeySubscriptions(store);
        byte[][] foreignKeys = [[], [0], [0, 0], [1], [1, 0], [1, 255], [1, 255, 255], [255], [255, 255], [255, 255, 255], [2]];
        foreach (var foreignKey in foreignKeys)
        {
            foreach (var row in (byte[][])[[], [0], [7], [255], [255, 255]])
            {
                subscriptions.Add(foreignKey, [.. foreignKey, .. row]);
            }
        }

        foreach (var foreignKey in foreignKeys)
        {
            subscriptions.To(foreignKey).Select(Convert.ToHexString).ShouldBe(
                ((byte[][])[[], [0], [7], [255], [255, 255]]).Select(row => Convert.ToHexString([.. foreignKey, .. row])), Convert.ToHexString(foreignKey));
            subscriptions.Remove(foreignKey, [.. foreignKey, 7]);
            subscriptions.To(foreignKey).Count().ShouldBe(4);
        }
    }

    [Fact]
    public void Subscriptions_and_answers_are_written_in_the_form_that_stands_beside_their_serdes()
    {
        var answers = new ForeignKeyAnswerSerde<string>(Serdes.Utf8);
        Hex(ForeignKeySubscriptionSerde.Instance, new(true, [1, 2])).ShouldBe("010102");
        Hex(ForeignKeySubscriptionSerde.Instance, new(false, [])).ShouldBe("00");
        Hex(answers, new([7, 8], true, "ab")).ShouldBe("020000000708016162");
        Hex(answers, new([], false, null)).ShouldBe("0000000000");
        var (subscription, answer) = (ForeignKeySubscriptionSerde.Instance.Deserialize([1, 5]), answers.Deserialize(Convert.FromHexString("020000000708016162")));
        (subscription.IsWanted, subscription.RowKey[0], answer.ForeignKey[1], answer.HasValue, answer.Value).ShouldBe((true, (byte)5, (byte)8, true, "ab"));
        foreach (var damaged in (string[])["", "02"])
        {
            Should.Throw<StreamsException>(() => ForeignKeySubscriptionSerde.Instance.Deserialize(Convert.FromHexString(damaged))).Code.ShouldBe(StreamsErrorCode.SerializationFailed);
        }

        foreach (var damaged in (string[])["", "01000000AA", "FFFFFFFF00", "0000000002"])
        {
            Should.Throw<StreamsException>(() => answers.Deserialize(Convert.FromHexString(damaged))).Code.ShouldBe(StreamsErrorCode.SerializationFailed);
        }
    }

    private static string Hex<T>(ISerde<T> serde, T value)
    {
        var writer = new ArrayBufferWriter<byte>();
        serde.Serialize(value, writer);
        return Convert.ToHexString(writer.WrittenSpan);
    }

    private static string? ForeignKeyOf(string row) => row.Split(':')[0] is var key && key == "_" ? null : key;

    private static KTable<string, string> Join(StreamsBuilder builder, bool isLeft)
    {
        var (left, right) = (builder.Table("left", Texts), builder.Table("right", Texts));
        var kept = Materialized.As("joined", Serdes.Utf8);
        return isLeft
            ? left.LeftJoin(right, ForeignKeyOf, (row, other) => $"{row.Split(':')[1]}+{other ?? "_"}", kept)
            : left.Join(right, ForeignKeyOf, (row, other) => $"{row.Split(':')[1]}+{other}", kept);
    }

    private static Topology Describe(bool isLeft)
    {
        var builder = new StreamsBuilder();
        Join(builder, isLeft).ToStream().To("out", ToTexts);
        return builder.Build();
    }
}
