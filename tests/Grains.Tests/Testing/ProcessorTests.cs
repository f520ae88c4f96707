using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Testing.ProcessorFixture;

namespace OrleansStreams.Testing;

/// <summary>What a processor may do, and what it is told when it does something else.</summary>
public sealed class ProcessorTests
{
    private static readonly KeyValueStoreDefinition<string, long> s_counts = Stores.KeyValue("counts", Serdes.Utf8, Serdes.Int64);

    [Fact]
    public void A_processor_counts_in_its_store_whatever_crashes()
    {
        var results = EveryCrash.Run(Counting, Script("a=x@1 b=x@2 a=x@3 a=del@4 a=x@5 b=x@6"), driver => Read(driver));
        results.ShouldBe(["a=1@1", "b=1@2", "a=2@3", "a=1@5", "b=2@6"]);
    }

    [Fact]
    public void Its_store_can_be_read_from_outside()
    {
        var driver = Run(Counting(), "a=x@1 b=x@2 a=x@3 b=del@4");
        var store = driver.GetStore("counts", Serdes.Utf8, Serdes.Int64);
        store.All().ShouldBe([new("a", 2)]);
        store.TryGet("b", out _).ShouldBeFalse();
    }

    [Fact]
    public void What_it_forwards_has_the_headers_of_the_record_or_those_that_it_sets()
    {
        var other = new RecordHeader("other", "y"u8.ToArray());
        var builder = Through(_ => { }, (context, record) =>
        {
            context.Forward(record.WithValue("same"));
            context.Forward(record.With(record.Key, "set") with { Headers = [.. record.Headers, other], TimestampMs = 7 });
            context.Forward(new ProcessorRecord<string, string>(record.Key, "none", record.TimestampMs));
        });
        var driver = new TopologyTestDriver(builder.Build());
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Utf8);
        input.Pipe("k", "v", 5, [new RecordHeader("trace", "x"u8.ToArray())]);
        input.Pipe("k", "v", 6);
        driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll()
            .Select(record => $"{record.Value}@{record.Timestamp} {string.Join(',', record.Headers.Select(header => header.Key))}")
            .ShouldBe(["same@5 trace", "set@7 trace,other", "none@5 ", "same@6 ", "set@7 other", "none@6 "]);
    }

    [Fact]
    public void It_knows_its_task_and_where_its_record_comes_from()
    {
        var seen = new List<string>();
        var builder = Through(_ => { }, (context, record) => seen.Add(
            $"{context.Application} {context.TaskId} {context.Partition} {context.Source!.Value.Partition.Topic}/{context.Source.Value.Partition.Partition}@{context.Source.Value.Offset} w{context.EventTimeWatermarkMs} s{context.StreamTimeMs} c{context.WallClockMs}"));
        var driver = new TopologyTestDriver(builder.Build(), new() { Partitions = 2, Application = "shop", StartTime = DateTimeOffset.FromUnixTimeMilliseconds(1000) });
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Utf8);
        input.Pipe("k", "v", 5, partition: 1);
        driver.AdvanceWallClock(TimeSpan.FromMilliseconds(10));
        input.Pipe("k", "v", 3, partition: 1);
        seen.ShouldBe([$"shop 0_1 1 in/1@0 w{long.MinValue} s5 c1000", "shop 0_1 1 in/1@1 w4 s5 c1010"]);
    }

    [Fact]
    public void A_child_gets_what_is_forwarded_to_it_and_to_all()
    {
        var builder = new StreamsBuilder();
        var processed = builder.Stream("in", Texts).Process(() => new TextProcessor(_ => { }, (context, record) =>
        {
            if (record.Value == "all")
            {
                context.Forward(record);
            }
            else
            {
                context.Forward(record, record.Value);
            }
        }));
        processed.Child("left").To("left", ToTexts);
        processed.To("out", ToTexts);
        processed.Child("right").To("right", ToTexts);
        processed.Child("left").MapValues(value => value + "!").To("again", ToTexts);
        var driver = Run(builder, "all@1 left@2 right@3");
        Read(driver).ShouldBe(["k=all@1"]);
        Read(driver, "left").ShouldBe(["k=all@1", "k=left@2"]);
        Read(driver, "right").ShouldBe(["k=all@1", "k=right@3"]);
        Read(driver, "again").ShouldBe(["k=all!@1", "k=left!@2"]);

        var error = Should.Throw<StreamsException>(() => Run(builder, "all@1 middle@2"));
        error.Code.ShouldBe(StreamsErrorCode.InvalidInput);
        error.Message.ShouldContain("record at offset 1 of topic 'in', partition 0");
        error.Message.ShouldContain("'middle', which it does not have (it has left, right)");
    }

    [Fact]
    public void Only_a_processor_has_children_by_name()
    {
        var stream = new StreamsBuilder().Stream("in", Texts);
        Should.Throw<StreamsException>(() => stream.Child("left")).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        Should.Throw<StreamsException>(() => stream.Process(Nothing).Child("no/name")).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
    }

    [Fact]
    public void A_store_that_was_not_declared_is_refused_by_name()
    {
        var other = Stores.KeyValue("other", Serdes.Utf8, Serdes.Int64);
        var timed = Stores.Timed("timed", Serdes.Utf8, Serdes.Int64);
        var error = Should.Throw<StreamsException>(() => Run(Through(context => context.GetStore(other), (_, _) => { }, s_counts), "a@1"));
        error.Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        error.Message.ShouldContain("'step' uses the store 'other', which was not declared");
        Should.Throw<StreamsException>(() => Run(Through(context => context.GetStore(timed), (_, _) => { }, s_counts), "a@1")).Message.ShouldContain("'timed'");
    }

    [Fact]
    public void Two_processors_of_a_sub_topology_share_a_store_by_its_definition()
    {
        StreamsBuilder Describe()
        {
            var builder = new StreamsBuilder();
            var texts = builder.Stream("in", Texts);
            texts.Process(() => new TextProcessor(_ => { }, (context, record) => context.GetStore(s_counts).Put(record.Key, record.Value.Length)), Processed.With(s_counts).WithName("write"));
            texts.Process(
                () => new TextProcessor(_ => { }, (context, record) => context.Forward(record.WithValue(context.GetStore(s_counts).TryGet(record.Key, out var count) ? $"{count}" : "none"))),
                Processed.With(Stores.KeyValue("counts", Serdes.Utf8, Serdes.Int64)).WithName("read")).To("out", ToTexts);
            return builder;
        }

        EveryCrash.Run(Describe, Script("a=x@1 a=xyz@2 b=xx@3"), driver => Read(driver)).ShouldBe(["a=1@1", "a=3@2", "b=2@3"]);
        Describe().Build().ToMermaid().Split('\n').Count(line => line.Contains("--- store1_1", StringComparison.Ordinal)).ShouldBe(2);
    }

    [Fact]
    public void A_store_is_not_shared_over_sub_topologies_nor_by_name_alone()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", Texts).Process(Nothing, Processed.With(s_counts));
        builder.Stream("other", Texts).Process(Nothing, Processed.With(s_counts).WithName("far"));
        var error = Should.Throw<StreamsException>(builder.Build);
        error.Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        error.Message.ShouldContain("'far' share the store 'counts', but stand in different sub-topologies");

        builder = new StreamsBuilder();
        builder.Stream("in", Texts).Process(Nothing, Processed.With(s_counts)).Process(Nothing, Processed.With(Stores.KeyValue("counts", Serdes.Utf8, Serdes.Int32)));
        Should.Throw<StreamsException>(builder.Build).Message.ShouldContain("Two steps keep their state in a store named 'counts'");
        Should.Throw<StreamsException>(() => Processed.With(s_counts, Stores.Timed("counts", Serdes.Utf8, Serdes.Int64))).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
    }

    [Fact]
    public void A_null_key_is_refused_by_stores_and_a_null_value_deletes()
    {
        var texts = Stores.KeyValue("texts", Serdes.Utf8, Serdes.Utf8);
        var timed = Stores.Timed("timed", Serdes.Utf8, Serdes.Utf8);
        StreamsBuilder Describe(Action<IKeyValueState<string, string>, ITimedState<string, string>, ProcessorRecord<string, string>> process) =>
            Through(_ => { }, (context, record) => process(context.GetStore(texts), context.GetStore(timed), record), texts, timed);

        var driver = Run(
            Describe((store, byTime, record) =>
            {
                store.Put(record.Key, record.Value);
                byTime.Put(record.Key, 1, 2, record.Value);
            }),
            "a=x@1 b=y@2 a=-@3");
        driver.GetStore("texts", Serdes.Utf8, Serdes.Utf8).All().ShouldBe([new("b", "y")]);
        driver.GetStore("timed", Serdes.Utf8, Serdes.Utf8).Count.ShouldBe(1);
        Action<IKeyValueState<string, string>, ITimedState<string, string>>[] mistakes =
        [
            (store, _) => store.Put(null!, "x"),
            (store, _) => store.TryGet(null!, out string? _),
            (store, _) => store.Delete(null!),
            (store, _) => store.Range("a", null!).Count().ShouldBe(0),
            (_, byTime) => byTime.Put(null!, 1, 2, "x"),
            (_, byTime) => byTime.Range(null!),
        ];
        foreach (var mistake in mistakes)
        {
            var error = Should.Throw<StreamsException>(() => Run(Describe((store, byTime, _) => mistake(store, byTime)), "a=x@1"));
            error.Code.ShouldBe(StreamsErrorCode.InvalidInput);
            error.Message.ShouldContain("null key");
        }

        Should.Throw<StreamsException>(() => Run(Describe((_, byTime, _) => byTime.Put("a", 2, 1, "x")), "a=x@1")).Message.ShouldContain("the end not before the start");
    }

    [Fact]
    public void Keys_are_enumerated_in_the_order_of_their_bytes_while_they_change()
    {
        var builder = Through(_ => { }, (context, record) =>
        {
            var counts = context.GetStore(s_counts);
            counts.Put(record.Key, 1);
            if (record.Value == "list")
            {
                context.Forward(record.WithValue($"{string.Join(',', counts.All().Select(pair => pair.Key))} {string.Join(',', counts.Range("b", "d").Select(pair => pair.Key))}"));
                foreach (var pair in counts.All())
                {
                    counts.Delete(pair.Key).ShouldBeTrue();
                }

                counts.Count.ShouldBe(0);
            }
        }, s_counts);
        Read(Run(builder, "d=x@1 b=x@2 a=x@3 c=list@4 e=list@5")).ShouldBe(["c=a,b,c,d b,c@4", "e=e @5"]);
    }

    [Fact]
    public void The_processed_stream_has_lost_its_key_unless_it_is_declared_to_be_kept()
    {
        var lost = new StreamsBuilder().Stream("in", Texts).Process(Nothing);
        Should.Throw<StreamsException>(lost.GroupByKey).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        var numbers = new StreamsBuilder().Stream("in", Texts);
        Should.Throw<StreamsException>(() => numbers.Process<long, string>(() => throw new InvalidOperationException("never"), Processed.With().KeepsKey()))
            .Message.ShouldContain("cannot keep keys of String as Int64");

        StreamsBuilder Describe()
        {
            var builder = new StreamsBuilder();
            var kept = builder.Stream("in", Texts)
                .Process(() => new TextProcessor(_ => { }, (context, record) => context.Forward(record.WithKey(record.Value == "wrong" ? "other" : new string(record.Key)))), Processed.With().KeepsKey());
            kept.Child("rest").GroupByKey().Count(Materialized.As("counted", Serdes.Int64)).ToStream().MapValues(count => $"{count}").To("out", ToTexts);
            return builder;
        }

        Describe().Build().SubTopologies.Length.ShouldBe(1);
        Read(Run(Describe(), "a=x@1 a=x@2 b=x@3")).ShouldBe(["a=1@1", "a=2@2", "b=1@3"]);
        var error = Should.Throw<StreamsException>(() => Run(Describe(), "a=x@1 a=wrong@2"));
        error.Code.ShouldBe(StreamsErrorCode.InvalidInput);
        error.Message.ShouldContain("offset 1");
        error.Message.ShouldContain("declared to keep keys");
    }

    [Fact]
    public void A_key_that_is_compared_by_reference_is_kept_when_its_bytes_are()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", Consumed.With(Serdes.Bytes, Serdes.Utf8)).Process(() => new Copying(), Processed.With().KeepsKey())
            .GroupByKey().Count(Materialized.As("counted", Serdes.Int64));
        Run(builder, "a=x@1 a=x@2").GetStore("counted", Serdes.Utf8, Serdes.Int64).TryGet("a", out var count).ShouldBeTrue();
        count.ShouldBe(2);
    }

    [Fact]
    public void What_it_throws_names_the_record()
    {
        var error = Should.Throw<StreamsException>(() => Run(Through(_ => { }, (_, record) => throw new InvalidOperationException("no " + record.Value)), "a=x@1"));
        error.Code.ShouldBe(StreamsErrorCode.InvalidInput);
        error.Message.ShouldContain("record at offset 0 of topic 'in', partition 0: InvalidOperationException: no x");
    }

    [Fact]
    public void What_it_had_put_and_forwarded_before_it_threw_is_undone_when_the_record_is_skipped()
    {
        StreamsBuilder Describe()
        {
            var builder = Through(_ => { }, (context, record) =>
            {
                var counts = context.GetStore(s_counts);
                counts.Put(record.Key, counts.TryGet(record.Key, out var count) ? count + 1 : 1);
                context.Forward(record.WithValue($"{count + 1}"));
                if (record.Value == "bad")
                {
                    throw new InvalidOperationException("bad");
                }
            }, s_counts);
            return builder.OnError(ErrorPolicy.Skip);
        }

        EveryCrash.Run(Describe, Script("a=x@1 a=bad@2 b=x@3 a=x@4"), driver => Read(driver)).ShouldBe(["a=1@1", "b=1@3", "a=2@4"]);
    }

    [Fact]
    public void What_it_must_not_do_at_its_beginning_or_later_is_refused()
    {
        var record = new ProcessorRecord<string, string>("k", "v", 1);
        Should.Throw<StreamsException>(() => Run(Through(context => context.Forward(record), (_, _) => { }), "a@1")).Message.ShouldContain("forwards a record in Init");
        var late = Should.Throw<StreamsException>(() => Run(Through(_ => { }, (context, _) => context.Schedule(TimeSpan.FromSeconds(1), PunctuationType.EventTime, _ => { })), "a@1"));
        (late.Code, late.Message.Contains("outside Init", StringComparison.Ordinal)).ShouldBe((StreamsErrorCode.InvalidRequest, true));
        Should.Throw<StreamsException>(() => Run(Through(_ => { }, (context, _) => context.Forward(record with { TimestampMs = long.MaxValue })), "a@1")).Code.ShouldBe(StreamsErrorCode.InvalidTimestamp);
        Should.Throw<StreamsException>(() => Run(Through(_ => throw new InvalidOperationException("no start"), (_, _) => { }), string.Empty)).Message.ShouldContain("beginning of its processors: InvalidOperationException: no start");
    }

    [Fact]
    public void Every_task_needs_a_processor_of_its_own()
    {
        var builder = new StreamsBuilder();
        var one = new TextProcessor(_ => { }, (_, _) => { });
        builder.Stream("in", Texts).Process(() => one);
        Should.Throw<StreamsException>(() => new TopologyTestDriver(builder.Build(), new() { Partitions = 2 })).Message.ShouldContain("the same processor twice");
        builder = new StreamsBuilder();
        builder.Stream("in", Texts).Process<string, string>(() => null!);
        Should.Throw<StreamsException>(() => new TopologyTestDriver(builder.Build())).Message.ShouldContain("gave none");
    }

    [Fact]
    public void Entries_by_time_are_ranged_taken_and_forgotten_whatever_crashes()
    {
        var open = Stores.Timed("open", Serdes.Utf8, Serdes.Utf8).WithRetention(TimeSpan.FromMilliseconds(10));
        StreamsBuilder Describe() => Through(_ => { }, (context, record) =>
        {
            var store = context.GetStore(open);
            var (start, end) = (record.TimestampMs, record.TimestampMs + 5);
            switch (record.Value)
            {
                case "all":
                    context.Forward(record.WithValue(Text(store.All())));
                    break;
                case "range":
                    context.Forward(record.WithValue(Text(store.Range(record.Key, 2, 9))));
                    break;
                case "take":
                    context.Forward(record.WithValue(Text(store.TakeEnded(7))));
                    break;
                case "delete":
                    context.Forward(record.WithValue($"{store.Delete(record.Key, 3, 8)}{store.TryGet(record.Key, 3, 8, out _)}{store.TryGet(record.Key, 1, 6, out _)}"));
                    break;
                default:
                    store.Put(record.Key, start, end, record.Value);
                    break;
            }
        }, open);
        var results = EveryCrash.Run(
            Describe, Script("b=p@1 a=q@3 a=r@1 a=s@9 a=all@9 a=range@9 a=take@9 a=all@10 a=t@2 a=delete@10 a=all@10 c=u@20 a=all@24 a=all@25 a=all@26"), driver => Read(driver));
        results.ShouldBe([
            "a=a1-6r a3-8q a9-14s b1-6p@9", "a=a3-8q@9", "a=a1-6r b1-6p@9", "a=a3-8q a9-14s@10", "a=TrueFalseFalse@10", "a=a2-7t a9-14s@10", "a=a9-14s c20-25u@24", "a=a9-14s c20-25u@25", "a=c20-25u@26"]);
    }

    [Fact]
    public void A_late_record_behind_it_goes_to_the_late_topic_as_it_was_read()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", Texts).Process(() => new TextProcessor(_ => { }, (context, record) => context.Forward(record)), Processed.With().KeepsKey())
            .GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10))).LateTo("late").Count(Materialized.As("windows", Serdes.Int64));
        Read(Run(builder, "a=x@1 a=y@50 a=z@2"), "late").ShouldBe(["a=z@2"]);
    }

    [Fact]
    public void It_prints_itself_with_its_stores_and_children()
    {
        var builder = new StreamsBuilder();
        var timed = Stores.Timed("timed", Serdes.Utf8, Serdes.Int64).WithRetention(TimeSpan.FromSeconds(1));
        var processed = builder.Stream("in", Texts).Process(Nothing, Processed.With(s_counts, timed).WithName("step"));
        processed.Child("left").To("out", ToTexts);
        builder.Build().Describe().ShouldBe(
            """
            Sub-topology 0
              source-0: topic in key utf8 value utf8 -> step
              step: process with stores counts key utf8 value int64, timed by time key utf8 value int64 retention 1000 -> left-2
              left-2: child left -> sink-3
              sink-3: to out

            """);
        builder.Build().SubTopologies[0].Stores.ShouldBe(["step-punctuators", "counts", "timed"]);
        builder.Build().ToMermaid().ShouldContain("store1_1[(\"counts\")]");
    }

    private static string Text(IEnumerable<TimedEntry<string, string>> entries) => string.Join(' ', entries.Select(entry => $"{entry.Key}{entry.StartMs}-{entry.EndMs}{entry.Value}"));

    private static TextProcessor Nothing() => new(_ => { }, (_, _) => { });

    private static StreamsBuilder Counting()
    {
        IKeyValueState<string, long> counts = null!;
        return Through(
            context => counts = context.GetStore(s_counts),
            (context, record) =>
            {
                if (record.Value == "del")
                {
                    counts.Delete(record.Key);
                    return;
                }

                counts.Put(record.Key, counts.TryGet(record.Key, out var count) ? count + 1 : 1);
                context.Forward(record.WithValue($"{(counts.TryGet(record.Key, out count) ? count : -1)}"));
            },
            s_counts);
    }

    private sealed class Copying : IStreamProcessor<byte[], string, byte[], string>
    {
        private IProcessorContext<byte[], string> _context = null!;

        public void Init(IProcessorContext<byte[], string> context) => _context = context;

        public void Process(ProcessorRecord<byte[], string> record) => _context.Forward(record.WithKey(record.Key.ToArray()));
    }
}
