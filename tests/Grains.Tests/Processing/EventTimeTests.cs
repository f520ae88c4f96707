using System.Buffers.Binary;
using OrleansStreams.Errors;
using OrleansStreams.Processing.Watermarks;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.EngineFixture;

namespace OrleansStreams.Processing;

/// <summary>Where event times and watermarks come from.</summary>
public sealed class EventTimeTests
{
    private static readonly Consumed<string, long> s_consumed = Consumed.With(Serdes.Utf8, Serdes.Int64);

    [Fact]
    public void An_event_time_is_the_records_timestamp_or_what_an_extractor_takes_from_its_content()
    {
        Times(s_consumed, ("a", 5)).ShouldBe("a 5");
        Times(s_consumed.WithEventTime((key, _, timestamp) => timestamp + key.Length), ("aaa", 5)).ShouldBe("aaa 8");
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(long.MinValue)]
    [InlineData(long.MaxValue)]
    public void An_invalid_time_fails_the_task_with_its_offset_or_is_skipped_and_counted_or_is_the_ingestion_time(long time)
    {
        foreach (var isExtracted in (bool[])[false, true])
        {
            var consumed = isExtracted ? s_consumed.WithEventTime((key, _, timestamp) => key == "bad" ? time : timestamp) : s_consumed;
            (string?, long)[] records = [("a", 5), ("bad", isExtracted || time is not -1 ? 6 : -1), ("b", 7)];
            if (!isExtracted && time != -1)
            {
                // Such a timestamp cannot stand in a batch with others.
                continue;
            }

            var error = Should.Throw<StreamsException>(() => Times(consumed, records));
            error.Code.ShouldBe(StreamsErrorCode.InvalidTimestamp);
            error.Message.ShouldContain("offset 1 of topic 'events'");

            Times(consumed.WithInvalidTimestamps(InvalidTimestampPolicy.Skip), records).ShouldBe("a 5|b 7 skipped 1");
            Times(consumed.WithInvalidTimestamps(InvalidTimestampPolicy.UseIngestionTime), records).ShouldBe("a 5|bad 1000|b 7");
        }
    }

    [Fact]
    public void An_extractor_that_throws_is_treated_as_an_invalid_time_if_the_user_wants_it()
    {
        var consumed = s_consumed.WithEventTime((key, _, timestamp) => key == "bad" ? throw new FormatException("no date") : timestamp);
        var error = Should.Throw<StreamsException>(() => Times(consumed, ("bad", 1)));
        error.Code.ShouldBe(StreamsErrorCode.InvalidInput);
        error.Message.ShouldContain("FormatException: no date");
        Times(consumed.WithInvalidTimestamps(InvalidTimestampPolicy.Skip), ("a", 5), ("bad", 6)).ShouldBe("a 5 skipped 1");
        Times(consumed.WithInvalidTimestamps(InvalidTimestampPolicy.UseIngestionTime), ("bad", 6)).ShouldBe("bad 1000");
    }

    [Fact]
    public void Times_before_1970_are_taken_when_they_are_meant() =>
        Times(s_consumed.AllowTimesBefore1970(), ("a", -5)).ShouldBe("a -5");

    [Fact]
    public void A_window_right_behind_the_source_skips_invalid_times_too_and_the_count_survives_a_restart()
    {
        var builder = new StreamsBuilder();
        builder.Stream(Input, s_consumed.WithInvalidTimestamps(InvalidTimestampPolicy.Skip)).GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10)))
            .Count(Materialized.As("store", Serdes.Int64)).Map((window, count) => (window.Key, $"{count}")).To(Output, Produced.With(Serdes.Utf8, Serdes.Utf8));
        var plan = Plan(builder.Build().SubTopologies[0]);
        var engine = Begun(plan);
        engine.ProcessBatch(0, Batch(0, ("k", 1), ("k", -1), ("k", 2)));
        var restored = new TaskEngine(plan);
        restored.Restore(engine.Drain().Entry.Span);
        restored.ProcessBatch(0, End(3));
        Read(restored.Drain().Outbox, Output).ShouldBe(["k 2"]);
        restored.Progress.SkippedRecords.ShouldBe(1);
    }

    [Fact]
    public void Ingestion_time_is_the_logs_append_time_where_the_topic_keeps_it()
    {
        Times(s_consumed.WithIngestionTime(), ("a", 5)).ShouldBe("a 1000");
        var engine = Begun(Plan(Copying(s_consumed.WithIngestionTime())));
        engine.SetClock(1000);
        var batch = Batch(0, ("a", 5), ("b", 6));
        RecordBatch.StampLogAppendTime(batch, 77);
        engine.ProcessBatch(0, batch);
        Texts(engine.Drain()).ShouldBe("a 77|b 77");
    }

    [Fact]
    public void Processing_time_closes_windows_by_the_clock_alone_never_goes_back_and_is_durable_with_the_commit_of_its_record()
    {
        var builder = new StreamsBuilder();
        builder.Stream(Input, s_consumed.WithProcessingTime()).GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10)))
            .Count(Materialized.As("store", Serdes.Int64)).Map((window, count) => (window.Key, $"{window.WindowStartMs}={count}")).To(Output, Produced.With(Serdes.Utf8, Serdes.Utf8));
        var plan = Plan(builder.Build().SubTopologies[0]);
        var engine = Begun(plan);
        engine.FollowsClock.ShouldBeTrue();
        engine.SetClock(103);
        engine.ProcessBatch(0, Batch(0, ("k", 1), ("k", 999)));
        engine.AdvanceTime(110);
        var entry = engine.Drain().Entry.Span.ToArray();
        engine.AdvanceTime(110);
        engine.HasChanges.ShouldBeFalse("the clock alone is no reason to commit");

        // A crash: the machine that goes on has a clock that is behind.
        var restored = new TaskEngine(plan);
        restored.Restore(entry);
        restored.SetClock(50);
        restored.ProcessBatch(0, Batch(2, ("k", 2)));
        restored.AdvanceTime(111);
        restored.HasChanges.ShouldBeTrue();
        Read(restored.Drain().Outbox, Output).ShouldBe(["k 100=2"]);
        restored.AdvanceTime(121);
        Read(restored.Drain().Outbox, Output).ShouldBe(["k 110=1"]);
        restored.Progress.LateRecords.ShouldBe(0);
    }

    [Fact]
    public void A_generator_makes_the_watermarks_and_its_state_survives_a_restart()
    {
        var builder = new StreamsBuilder();
        builder.Stream(Input, s_consumed.WithWatermarkGenerator(() => new Punctuated())).GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10)))
            .Count(Materialized.As("store", Serdes.Int64)).Map((window, count) => (window.Key, $"{window.WindowStartMs}={count}")).To(Output, Produced.With(Serdes.Utf8, Serdes.Utf8));
        var plan = Plan(builder.Build().SubTopologies[0]);
        var engine = Begun(plan);
        engine.ProcessBatch(0, Batch(0, ("k", 1), ("k", 100), ("k", 2)));
        engine.Watermarks.Watermark.ShouldBe(WatermarkTracker.None, "only a record of key 'mark' says how far time has come");
        var restored = new TaskEngine(plan);
        restored.Restore(engine.Drain().Entry.Span);
        restored.ProcessBatch(0, Batch(3, ("mark", 50)));
        restored.Watermarks.Watermark.ShouldBe(50 - 3, "three records came before, all of them before the restart");
        Read(restored.Drain().Outbox, Output).ShouldBe(["k 0=2"]);
        restored.AdvanceTime(60);
        restored.Watermarks.Watermark.ShouldBe(60);
        restored.AdvanceTime(40);
        restored.Watermarks.Watermark.ShouldBe(60);
    }

    /// <summary>What a task with this source makes of records, "key time" each, at the wall-clock time 1000.</summary>
    private static string Times(Consumed<string, long> consumed, params (string?, long)[] records)
    {
        var engine = Begun(Plan(Copying(consumed)));
        engine.SetClock(1000);
        engine.ProcessBatch(0, Batch(0, records));
        var texts = Texts(engine.Drain());
        return engine.Progress.SkippedRecords == 0 ? texts : $"{texts} skipped {engine.Progress.SkippedRecords}";
    }

    private static SubTopology Copying(Consumed<string, long> consumed)
    {
        var builder = new StreamsBuilder();
        builder.Stream(Input, consumed).To(Output, Produced.With(Serdes.Utf8, Serdes.Int64));
        return builder.Build().SubTopologies[0];
    }

    private static string Texts(TaskCommit commit)
    {
        var texts = new List<(long Sequence, string Text)>();
        foreach (var item in commit.Outbox)
        {
            var reader = new RecordBatchReader(item.Batches);
            while (reader.TryRead(out var record))
            {
                texts.Add((record.Timestamp, $"{System.Text.Encoding.UTF8.GetString(record.Key)} {record.Timestamp}"));
            }
        }

        // Records of one key stand in one partition; those of several are told in the order of their keys as they were sent.
        return string.Join('|', texts.OrderBy(text => text.Text.StartsWith("bad", StringComparison.Ordinal) ? 6 : text.Sequence).ThenBy(text => text.Text, StringComparer.Ordinal).Select(text => text.Text));
    }

    /// <summary>The watermark comes with records of the key 'mark', less the number of records seen; and with the clock.</summary>
    private sealed class Punctuated : IWatermarkGenerator<string, long>
    {
        private int _seen;

        public long OnEvent(string key, long value, long eventTime) => key == "mark" ? eventTime - _seen : Count();

        public long OnPeriodic(long nowMs) => nowMs;

        public void Save(System.Buffers.IBufferWriter<byte> to)
        {
            BinaryPrimitives.WriteInt32LittleEndian(to.GetSpan(4), _seen);
            to.Advance(4);
        }

        public void Restore(ReadOnlySpan<byte> from) => _seen = BinaryPrimitives.ReadInt32LittleEndian(from);

        private long Count()
        {
            _seen++;
            return long.MinValue;
        }
    }
}
