using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.EngineFixture;

namespace OrleansStreams.Processing;

public sealed class WindowVectorTests
{
    // The watermark is max - out-of-orderness - 1; a record is late when end + grace <= the watermark before it.
    [Theory]
    [InlineData(2, 1, 0, "0 1 2 1 0 5 0", "k 0-2=4|k 2-4=1|k 4-6=1", "k 0")]
    [InlineData(2, 0, 0, "0 1 2 1", "k 0-2=3|k 2-4=1", "")]
    [InlineData(2, 0, 0, "0 3 1", "k 0-2=1|k 2-4=1", "k 1")]
    [InlineData(2, 0, 1, "0 3 1", "k 0-2=2|k 2-4=1", "")]
    [InlineData(10, 0, 0, "9 10 9 11 9", "k 0-10=2|k 10-20=2", "k 9")]
    [InlineData(10, 5, 0, "9 15 9 16 9", "k 0-10=2|k 10-20=2", "k 9")]
    [InlineData(10, 0, 0, "-1 0", "k -10-0=1|k 0-10=1", "")]
    [InlineData(10, 0, 0, "-10 -11", "k -20--10=1|k -10-0=1", "")]
    [InlineData(1, 0, 0, "5 5 5", "k 5-6=3", "")]
    [InlineData(10, 0, 0, "0 1000000 5", "k 0-10=1|k 1000000-1000010=1", "k 5")]
    public void A_windows_result_holds_what_is_not_late(long size, long grace, long outOfOrderness, string times, string results, string late)
    {
        var records = times.Split(' ').Select(time => ((string?)"k", long.Parse(time, System.Globalization.CultureInfo.InvariantCulture))).ToArray();
        foreach (var batchSize in (int[])[1, 2, records.Length])
        {
            var engine = Begun(Plan(Counting(size, grace, outOfOrderness)));
            for (var at = 0; at < records.Length; at += batchSize)
            {
                engine.ProcessBatch(0, Batch(at, records[at..Math.Min(at + batchSize, records.Length)]));
            }

            engine.ProcessBatch(0, End(records.Length));
            var outbox = engine.Drain().Outbox;
            string.Join('|', Read(outbox, Output)).ShouldBe(results);
            string.Join('|', Read(outbox, Late)).ShouldBe(late);
            engine.Progress.LateRecords.ShouldBe(late.Length == 0 ? 0 : late.Split('|').Length);
            engine.IsCompleted.ShouldBeTrue();
        }
    }

    [Fact]
    public void A_flat_map_writes_none_one_or_many_records_for_one_with_keys_of_their_own()
    {
        var builder = new StreamsBuilder();
        builder.Stream(Input, Consumed.With(Serdes.Utf8, Serdes.Int64))
            .FlatMap((key, _) => key!.Split('-', StringSplitOptions.RemoveEmptyEntries).Select((part, index) => (part, $"{part}{index}")))
            .To(Output, Produced.With(Serdes.Utf8, Serdes.Utf8));
        var engine = Begun(Plan(builder.Build().SubTopologies.ShouldHaveSingleItem()));

        engine.ProcessBatch(0, Batch(0, ("a-b-a", 1), ("--", 2), ("c", 3)));

        Read(engine.Drain().Outbox, Output).Order(StringComparer.Ordinal).ShouldBe(["a a0", "a a2", "b b1", "c c0"]);
        engine.Progress.RecordsIn.ShouldBe(3);
        engine.Progress.RecordsOut.ShouldBe(4);
    }

    [Fact]
    public void A_reduce_combines_the_values_of_a_window_in_their_order_and_keeps_a_single_one_as_it_is()
    {
        var builder = new StreamsBuilder();
        builder.Stream(Input, Consumed.With(Serdes.Utf8, Serdes.Utf8).WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.Zero)))
            .GroupByKey()
            .WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10)))
            .Reduce((all, one) => $"{all},{one}", Materialized.As("store", Serdes.Utf8))
            .Map((window, value) => (window.Key, $"{window.WindowStartMs}={value}"))
            .To(Output, Produced.With(Serdes.Utf8, Serdes.Utf8));
        var engine = Begun(Plan(builder.Build().SubTopologies.ShouldHaveSingleItem()));
        var batch = new RecordBatchBuilder();
        foreach (var (time, value) in ((long, string)[])[(1, "x"), (3, "y"), (2, "z"), (12, "alone")])
        {
            batch.Append(time, "k"u8, false, System.Text.Encoding.UTF8.GetBytes(value), false);
        }

        engine.ProcessBatch(0, batch.Build());
        engine.Query(new StateQuery("store", "k"u8.ToArray(), 0, 100, 10)).Entries.Count.ShouldBe(2);
        engine.ValueSerdeOf("store").ShouldBe("utf8");
        engine.ProcessBatch(0, End(4));

        Read(engine.Drain().Outbox, Output).ShouldBe(["k 0=x,y,z", "k 10=alone"]);
    }

    [Fact]
    public void Windows_close_by_end_and_then_by_key_bytes()
    {
        var engine = Begun(Plan(Counting(10, 0, 100)) with { Outputs = [new(Output, 1, 4096), new(Late, 1, 4096)] });
        engine.ProcessBatch(0, Batch(0, ("b", 15), ("c", 1), ("a", 12), ("aa", 2), ("b", 3)));
        engine.ProcessBatch(0, End(5));
        Read(engine.Drain().Outbox, Output).ShouldBe(["aa 0-10=1", "b 0-10=1", "c 0-10=1", "a 10-20=1", "b 10-20=1"]);
    }

    [Fact]
    public void A_late_record_goes_to_the_late_topic_as_it_was_read_with_its_window_in_headers()
    {
        var builder = new RecordBatchBuilder();
        RecordHeader[] headers = [new("trace", new byte[] { 9 })];
        builder.Append(100, "k"u8, false, [0, 0, 0, 0, 0, 0, 0, 1], false, headers);
        builder.Append(5, "k"u8, false, [0, 0, 0, 0, 0, 0, 0, 2], false, headers);
        var engine = Begun(Plan(Counting(10, 0, 0)));
        engine.ProcessBatch(0, builder.Build());
        var reader = new RecordBatchReader(engine.Drain().Outbox.Single(item => item.Partition.Topic == Late).Batches);
        reader.TryRead(out var late).ShouldBeTrue();
        late.Timestamp.ShouldBe(5);
        late.Value[7].ShouldBe((byte)2);
        late.GetHeaders().Select(header => header.Key + "=" + (header.Key == "trace" ? "9" : System.Text.Encoding.ASCII.GetString(header.Value!.Value.Span)))
            .ShouldBe(["trace=9", "late-window-start=0", "late-window-end=10", "late-watermark=99"]);
    }

    [Fact]
    public void With_two_inputs_a_window_waits_for_the_slower_one_and_an_idle_one_steps_aside()
    {
        var plan = Plan(Counting(10, 0, 0, inputs: 2, idleness: TimeSpan.FromMilliseconds(50)));
        var engine = Begun(plan);
        engine.ProcessBatch(0, Batch(0, ("k", 1), ("k", 100)));
        engine.ProcessBatch(1, Batch(0, ("k", 5)));
        Read(engine.Drain().Outbox, Output).ShouldBeEmpty();
        engine.AdvanceTime(1_000_000);
        Read(engine.Drain().Outbox, Output).ShouldBeEmpty("nobody has said that there is nothing more to read");
        engine.MarkSilent(1, 10);
        engine.MarkSilent(1, 30);
        engine.ProcessBatch(0, Batch(2, ("k", 101)));
        engine.AdvanceTime(59);
        Read(engine.Drain().Outbox, Output).ShouldBeEmpty();
        engine.AdvanceTime(60);
        Read(engine.Drain().Outbox, Output).ShouldBe(["k 0-10=2"]);

        // It comes back behind the task: its watermark does not go back, and the closed window stays closed.
        engine.ProcessBatch(1, Batch(1, ("k", 6)));
        var outbox = engine.Drain().Outbox;
        Read(outbox, Output).ShouldBeEmpty();
        Read(outbox, Late).ShouldBe(["k 6"]);
    }

    [Fact]
    public void A_null_key_fails_with_the_offset_and_what_to_do()
    {
        var engine = Begun(Plan(Counting(10, 0, 0)));
        var error = Should.Throw<StreamsException>(() => engine.ProcessBatch(0, Batch(41, ("k", 1), (null, 2))));
        error.Code.ShouldBe(StreamsErrorCode.InvalidInput);
        error.Message.ShouldContain("offset 42");
        error.Message.ShouldContain("Filter");
    }

    [Fact]
    public void A_key_that_changed_cannot_be_grouped_without_a_topic_in_between()
    {
        var stream = new StreamsBuilder().Stream(Input, Consumed.With(Serdes.Utf8, Serdes.Int64)).SelectKey((key, _) => key + "x");
        var error = Should.Throw<StreamsException>(stream.GroupByKey);
        error.Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        error.Message.ShouldContain("Grouped.With");
    }

    [Fact]
    public void A_topology_is_cut_at_its_topics_and_describes_itself()
    {
        var builder = new StreamsBuilder();
        builder.FileSource<string, long>("rows", "/rows", (_, number) => ("k", number, number)).To(Input, Produced.With(Serdes.Utf8, Serdes.Int64));
        builder.Stream(Input, Consumed.With(Serdes.Utf8, Serdes.Int64)).Filter((_, value) => value > 0).To(Output, Produced.With(Serdes.Utf8, Serdes.Int64));
        var topology = builder.Build();
        topology.Describe().ShouldBe(
            "Sub-topology 0\n  rows: file /rows -> sink-1\n  sink-1: to events\n" +
            "Sub-topology 1\n  source-2: topic events key utf8 value int64 -> filter-3\n  filter-3: filter -> sink-4\n  sink-4: to counts\n");
    }

    [Fact]
    public void A_file_task_tells_every_partition_once_that_its_input_has_ended()
    {
        var builder = new StreamsBuilder();
        builder.FileSource<string, long>("rows", "/rows", (_, number) => ("k", number, 10 * number)).To(Input, Produced.With(Serdes.Utf8, Serdes.Int64));
        var engine = new TaskEngine(Plan(builder.Build().SubTopologies[0]));
        engine.Begin(7, [], new Sources.FilePosition(0, 0, 4, 1));
        engine.ProcessLine("a"u8, new Sources.FilePosition(2, 1, 4, 1));
        engine.EndOfFile();
        var outbox = engine.Drain().Outbox;
        outbox.Select(item => item.Partition.Partition).ShouldBe([0, 1, 2]);
        outbox.Sum(item => item.Records).ShouldBe(1);
        foreach (var item in outbox)
        {
            var last = item.Batches;
            while (RecordBatchHeader.Read(last.Span).TotalBytes < last.Length)
            {
                last = last[RecordBatchHeader.Read(last.Span).TotalBytes..];
            }

            WatermarkMarker.TryRead(last, out var task, out var watermark).ShouldBeTrue();
            (task, watermark).ShouldBe(("app/0_0", WatermarkMarker.EndOfInput));
        }

        engine.IsCompleted.ShouldBeTrue();
    }
}
