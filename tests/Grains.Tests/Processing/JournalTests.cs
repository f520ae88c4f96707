using OrleansStreams.Errors;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.EngineFixture;

namespace OrleansStreams.Processing;

public sealed class JournalTests
{
    // Version 3, byte for byte: a change that breaks this breaks the journals that are stored. See JournalFormat.
    private const string Golden =
        "4F534A45" + "03000000" + "1C000000" + "FINGERPRINT" + "0700000000000000" + "0100000000000000" + "0300000000000000" + "0100000000000000" + "0000000000000000" +
        "0000000000000000" + "0000000000000000" + "1300000000000000" + "0000000000000080" +
        "01000000" + "1400000000000000" + "1300000000000000" + "00" +
        "01000000" + "0300000000000000" + "00000000" + "00000000" +
        "02000000" + "1300000000000000" + "0000000000000080" + "00" + "1300000000000000" + "0000000000000080" + "00" +
        "01000000" + "00000000" + "02000000" + "01000000" + "00000000" +
        "01000000" + "02000000" + "02000000" +
        "02" + "0000000000000000" + "0A00000000000000" + "01000000" + "6B" + "08000000" + "0000000000000002" +
        "01" + "1400000000000000" + "1E00000000000000" + "01000000" + "6B" + "08000000" + "0000000000000001" +
        "00000000" + "02000000" + "02000000" +
        "02" + "0000000000000000" + "0A00000000000000" + "01000000" + "6B" + "08000000" + "0000000000000002" +
        "01" + "1400000000000000" + "1E00000000000000" + "01000000" + "6B" + "08000000" + "0000000000000001" +
        "FFFFFFFF";

    [Fact]
    public void The_journal_entry_has_its_golden_bytes()
    {
        var plan = Plan(Counting(10, 0, 0));
        var engine = Begun(plan);
        engine.ProcessBatch(0, Batch(0, ("k", 1), ("k", 2), ("k", 20)));
        var commit = engine.Drain();
        var fingerprint = Convert.ToHexString(BitConverter.GetBytes(Journal.JournalFormat.Fingerprint(plan.SubTopology.Shape)));
        var item = commit.Outbox.ShouldHaveSingleItem();
        item.Partition.ShouldBe(new Log.TopicPartition(Output, 2));
        var expected = Golden.Replace("FINGERPRINT", fingerprint, StringComparison.Ordinal) +
            "01000000" + "06000000" + Convert.ToHexString("counts"u8) + "02000000" + "01000000" +
            Convert.ToHexString(BitConverter.GetBytes(item.Batches.Length)) + Convert.ToHexString(item.Batches.Span);
        Convert.ToHexString(commit.Entry.Span).ShouldBe(expected);
    }

    [Theory]
    [InlineData("4F534A45" + "03000000", "4F534A45" + "01000000", "format 1")]
    [InlineData("4F534A45" + "03000000", "4F534A45" + "63000000", "format 99")]
    [InlineData("01000000" + "02000000" + "02000000" + "02", "01000000" + "03000000" + "02000000" + "02", "store 'store' in schema 3")]
    public void A_form_that_is_not_known_is_refused_as_incompatible(string known, string unknown, string message)
    {
        var plan = Plan(Counting(10, 0, 0));
        var engine = Begun(plan);
        engine.ProcessBatch(0, Batch(0, ("k", 1), ("k", 2), ("k", 20)));
        var entry = Convert.ToHexString(engine.Drain().Entry.Span);
        entry.ShouldContain(known);
        var error = Should.Throw<StreamsException>(() => new TaskEngine(plan).Restore(Convert.FromHexString(entry.Replace(known, unknown, StringComparison.Ordinal))));
        error.Code.ShouldBe(StreamsErrorCode.IncompatibleState);
        error.Message.ShouldContain(message);
        error.Message.ShouldContain($"apps reset {plan.Application} --to earliest");
    }

    [Fact]
    public void Another_topology_is_refused_as_incompatible()
    {
        var engine = Begun(Plan(Counting(10, 0, 0)));
        var entry = engine.Drain().Entry.Span.ToArray();
        var error = Should.Throw<StreamsException>(() => new TaskEngine(Plan(Counting(20, 0, 0))).Restore(entry));
        error.Code.ShouldBe(StreamsErrorCode.IncompatibleState);
        error.Message.ShouldContain("another topology");
        error.Message.ShouldContain($"apps reset {Plan(Counting(20, 0, 0)).Application} --to earliest");
    }

    [Fact]
    public void An_entry_cut_anywhere_is_a_typed_error()
    {
        var plan = Plan(Counting(10, 0, 0));
        var engine = Begun(plan);
        engine.ProcessBatch(0, Batch(0, ("k", 1), ("j", 2), ("k", 20)));
        var entry = engine.Drain().Entry.Span.ToArray();
        for (var length = 0; length < entry.Length; length++)
        {
            var cut = length;
            Should.Throw<StreamsException>(() => new TaskEngine(plan).Restore(entry.AsSpan(0, cut))).Code.ShouldBe(StreamsErrorCode.CorruptLog);
        }
    }

    [Fact]
    public void Closed_windows_can_be_queried_for_the_retention_also_after_a_restart()
    {
        var plan = Plan(Counting(10, 0, 0, retention: 20));
        var engine = Begun(plan);
        var entries = new List<byte[]>();
        for (var time = 0; time < 100; time += 5)
        {
            engine.ProcessBatch(0, Batch(time / 5, ("k", time)));
            entries.Add(engine.Drain().Entry.Span.ToArray());
        }

        var restored = new TaskEngine(plan);
        entries.ForEach(entry => restored.Restore(entry));
        foreach (var asked in (TaskEngine[])[engine, restored])
        {
            var found = asked.Query(new StateQuery("store", "k"u8.ToArray(), long.MinValue, long.MaxValue, 100)).Entries;
            found.Select(entry => (entry.WindowStartMs, entry.WindowEndMs, entry.IsFinal, Serdes.Int64.Deserialize(entry.Value.Span)))
                .ShouldBe([(70, 80, true, 2), (80, 90, true, 2), (90, 100, false, 2)]);
            asked.Query(new StateQuery("store", "k"u8.ToArray(), 80, 90, 100)).Entries.ShouldHaveSingleItem().WindowStartMs.ShouldBe(80);
            asked.Query(new StateQuery("store", "j"u8.ToArray(), 0, 100, 100)).Entries.ShouldBeEmpty();
        }

        Should.Throw<StreamsException>(() => engine.Query(new StateQuery("other", default, 0, 1, 1))).Code.ShouldBe(StreamsErrorCode.StoreNotFound);
    }

    [Fact]
    public void A_result_larger_than_the_output_topic_takes_is_refused_and_smaller_ones_are_split_into_batches()
    {
        var engine = Begun(Plan(Counting(10, 0, 0), maxMessageBytes: 200));
        engine.ProcessBatch(0, Batch(0, [.. Enumerable.Range(0, 100).Select(i => ((string?)$"key-{i}", 1L))]));
        engine.ProcessBatch(0, End(100));
        var outbox = engine.Drain().Outbox;
        Read(outbox, Output).Count.ShouldBe(100);
        foreach (var item in outbox)
        {
            for (var rest = item.Batches; !rest.IsEmpty; rest = rest[RecordBatchHeader.Read(rest.Span).TotalBytes..])
            {
                RecordBatchHeader.Read(rest.Span).TotalBytes.ShouldBeLessThanOrEqualTo(200);
            }
        }

        var large = Begun(Plan(Counting(10, 0, 0), maxMessageBytes: 70));
        large.ProcessBatch(0, Batch(0, ("key", 1)));
        Should.Throw<StreamsException>(() => large.ProcessBatch(0, End(1))).Code.ShouldBe(StreamsErrorCode.RecordTooLarge);
    }

    [Fact]
    public void Only_the_tasks_of_this_application_that_write_a_topic_end_it_and_the_task_passes_the_end_on_once()
    {
        var engine = Begun(Plan(Counting(10, 0, 0)));
        engine.ProcessBatch(0, Batch(0, ("k", 1)));
        engine.ProcessBatch(0, End(1, "another-application/0_0"));
        engine.IsCompleted.ShouldBeFalse();
        engine.ProcessBatch(0, End(2));
        engine.IsCompleted.ShouldBeTrue();

        var commit = engine.Drain();
        foreach (var topic in (string[])[Output, Late])
        {
            var ends = commit.Outbox.Where(item => item.Partition.Topic == topic).SelectMany(item => Markers(item.Batches)).ToList();
            ends.ShouldBe(Enumerable.Repeat(("app/0_0", WatermarkMarker.EndOfInput), 3), topic);
        }

        engine.ProcessBatch(0, End(3));
        engine.Drain().Outbox.ShouldBeEmpty();
    }

    [Fact]
    public void User_code_that_fails_on_a_window_that_closes_at_the_end_is_the_users_error_and_not_worth_a_retry()
    {
        var builder = new StreamsBuilder();
        builder.Stream(Input, Consumed.With(Serdes.Utf8, Serdes.Int64)).GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10)))
            .Count(Materialized.As("store", Serdes.Int64)).Map<string, string>((_, _) => throw new InvalidOperationException("no"))
            .To(Output, Produced.With(Serdes.Utf8, Serdes.Utf8));
        var engine = Begun(Plan(builder.Build().SubTopologies[0]));
        engine.ProcessBatch(0, Batch(0, ("k", 1)));

        var error = Should.Throw<StreamsException>(() => engine.ProcessBatch(0, End(1)));

        error.Code.ShouldBe(StreamsErrorCode.InvalidInput);
        StreamTask.IsRetriable(error).ShouldBeFalse();
        error.Message.ShouldContain("closed at the end of the input");
    }

    [Fact]
    public void An_aggregate_that_becomes_null_is_refused_before_it_can_be_stored()
    {
        var builder = new StreamsBuilder();
        builder.Stream(Input, Consumed.With(Serdes.Utf8, Serdes.Utf8)).GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10)))
            .Reduce((_, _) => null!, Materialized.As("store", Serdes.Utf8)).Map((window, value) => (window.Key, value)).To(Output, Produced.With(Serdes.Utf8, Serdes.Utf8));
        var engine = Begun(Plan(builder.Build().SubTopologies[0]));
        var error = Should.Throw<StreamsException>(() => engine.ProcessBatch(0, Batch(0, ("k", 1), ("k", 2))));
        error.Code.ShouldBe(StreamsErrorCode.InvalidInput);
        error.Message.ShouldContain("offset 1");
        error.Message.ShouldContain("became null");
    }

    private static IEnumerable<(string Task, long Watermark)> Markers(ReadOnlyMemory<byte> batches)
    {
        for (; !batches.IsEmpty; batches = batches[RecordBatchHeader.Read(batches.Span).TotalBytes..])
        {
            if (WatermarkMarker.TryRead(batches, out var task, out var watermark))
            {
                yield return (task, watermark);
            }
        }
    }

    [Fact]
    public void A_line_that_cannot_be_parsed_names_file_and_line()
    {
        var builder = new StreamsBuilder();
        builder.FileSource<string, long>("rows", "/data/rows", (_, _) => throw new FormatException("no number")).To(Input, Produced.With(Serdes.Utf8, Serdes.Int64));
        var engine = new TaskEngine(Plan(builder.Build().SubTopologies[0]));
        engine.Begin(7, [], new FilePosition(0, 11, 4, 1));
        var error = Should.Throw<StreamsException>(() => engine.ProcessLine("x"u8, new FilePosition(2, 12, 4, 1)));
        error.Code.ShouldBe(StreamsErrorCode.InvalidInput);
        error.Message.ShouldContain("line 12 of file /data/rows");
    }
}
