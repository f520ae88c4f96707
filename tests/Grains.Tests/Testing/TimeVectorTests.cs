using System.Globalization;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Testing.WindowTopologies;

namespace OrleansStreams.Testing;

/// <summary>What large jumps of the watermark do, and inputs that step aside as idle and come back.</summary>
public sealed class TimeVectorTests
{
    [Theory]
    [InlineData("tumbling 10 0", "close", "0 12 25 1000000000000", "k 0-10=1|k 10-20=1|k 20-30=1|k 1000000000000-1000000000010=1")]
    [InlineData("tumbling 10 5", "close", "a@3 b@1 a@17 c@9000000000", "a 0-10=1|b 0-10=1|a 10-20=1|c 9000000000-9000000010=1")]
    [InlineData("hopping 10 5 0", "close", "2 9000000000", "k -5-5=1|k 0-10=1|k 8999999995-9000000005=1|k 9000000000-9000000010=1")]
    [InlineData("session 5 3", "close", "0 4 20 9000000000", "k 0-5=2|k 20-21=1|k 9000000000-9000000001=1")]
    [InlineData("sliding 5 3", "close", "0 4 9000000000", "k -5-1=1|k -1-5=2|k 1-7=1|k 8999999995-9000000001=1")]
    [InlineData("tumbling 10 0", "every 4", "0 1 9000000000", "k 0-10=1|k 0-10=2|k 9000000000-9000000010=1")]
    [InlineData("tumbling 10 0", "update", "0 1 9000000000", "k 0-10=1|k 0-10=2|k 9000000000-9000000010=1")]
    [InlineData("session 5 0", "update", "0 9000000000 9000000003", "k 0-1=1|k 9000000000-9000000001=1|k 9000000000-9000000001=0|k 9000000000-9000000004=2")]
    public void However_far_the_watermark_jumps_each_window_is_told_as_if_it_had_risen_ms_by_ms(string windows, string emit, string times, string results)
    {
        foreach (var commitEvery in (int[])[1, 100])
        {
            var driver = new TopologyTestDriver(Counting(windows, emit), new() { CommitEvery = commitEvery });
            var input = driver.CreateInput("in0", Serdes.Utf8, Serdes.Int64);
            foreach (var (key, time) in times.Split(' ').Select(Event))
            {
                input.Pipe(key, 0, time);
            }

            driver.CloseInputs();
            string.Join('|', driver.CreateOutput(Out, Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => $"{record.Key} {record.Value}")).ShouldBe(results);
        }
    }

    /// <summary>Steps: 0@time and 1@time are records of two topics that step aside after 50 ms without any; Wms lets the wall clock go on; ! is a crash.</summary>
    [Theory]
    [InlineData("0@1 0@100 1@5", "", 0)] // waits for the slower one
    [InlineData("0@1 0@100 1@5 W60", "0-10=2", 0)] // when both are idle the furthest counts
    [InlineData("0@1 0@100 W30 1@5 W30", "", 0)] // the furthest is idle, the other not yet
    [InlineData("0@1 0@100 W30 1@5 W30 W20", "0-10=2", 0)] // whichever is idle first
    [InlineData("1@5 W30 0@1 0@100 W30 W20", "0-10=2", 0)]
    [InlineData("0@1 W60", "", 0)] // and is where it was itself
    [InlineData("0@1 0@100 1@5 W60 1@96", "0-10=2", 0)] // a window that it had not passed
    [InlineData("0@1 0@100 1@5 W60 1@89", "0-10=2", 1)]
    [InlineData("0@1 0@100 1@5 W60 ! 1@89", "0-10=2", 1)]
    [InlineData("0@1 0@100 1@5 W49 0@101", "", 0)] // a ms too early
    [InlineData("0@1 0@100 1@5 W60 0@101", "0-10=2", 0)] // one goes on alone
    [InlineData("0@1 0@100 1@5 W30 1@6 W30 0@101", "", 0)] // any record is a sign of life
    [InlineData("0@1 0@100 1@5 W60 0@101 1@6", "0-10=2", 1)] // who comes back behind is late
    [InlineData("0@1 0@100 1@5 W60 0@101 1@100 0@120", "0-10=2|100-110=3", 0)] // and holds nobody up before it has caught up
    [InlineData("0@1 0@100 1@5 W60 0@101 1@110 0@130", "0-10=2", 0)] // but then it does
    [InlineData("0@1 0@100 1@5 W60 0@101 1@110 0@130 1@112", "0-10=2|100-110=2", 0)]
    [InlineData("0@1 0@100 1@5 W60 1@50", "0-10=2", 1)] // the other way round
    [InlineData("0@1 0@100 1@5 W60 0@101 ! 1@6", "0-10=2", 1)] // over a crash
    public void An_idle_input_steps_aside_and_comes_back(string steps, string results, int late)
    {
        var builder = new StreamsBuilder();
        var consumed = Consumed.With(Serdes.Utf8, Serdes.Int64).WithWatermarks(WatermarkStrategy.Monotonic().WithIdleness(Ms(50)));
        builder.Stream("0", consumed).Merge(builder.Stream("1", consumed)).GroupByKey().WindowedBy(TumblingWindows.Of(Ms(10))).Count(Materialized.As("counts", Serdes.Int64))
            .Map((window, count) => (window.Key, $"{window.WindowStartMs}-{window.WindowEndMs}={count}")).To(Out, Produced.With(Serdes.Utf8, Serdes.Utf8));
        var driver = new TopologyTestDriver(builder.Build());
        foreach (var step in steps.Split(' '))
        {
            if (step == "!")
            {
                driver.Restart();
            }
            else if (step[0] == 'W')
            {
                driver.AdvanceWallClock(Ms(Number(step[1..])));
            }
            else
            {
                driver.CreateInput(step[..1], Serdes.Utf8, Serdes.Int64).Pipe("k", 0, Number(step[2..]));
            }
        }

        string.Join('|', driver.CreateOutput(Out, Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => record.Value)).ShouldBe(results);
        driver.LateRecords.ShouldBe(late);
    }

    /// <summary>Steps: key=value is a record (- for null), ! a crash. Changes of the count, and of the sum that a reduction makes.</summary>
    [Theory]
    [InlineData("a=1 b=2 a=3", "a=1 b=1 a=2", "a=1 b=2 a=4")]
    [InlineData("a=1 a=- a=2", "a=1 a=2", "a=1 a=3")] // a null value is no record of a group
    [InlineData("a=- b=-", "", "")]
    [InlineData("a=5 a=-5", "a=1 a=2", "a=5 a=0")]
    [InlineData("a=1 ! a=2 ! a=3 !", "a=1 a=2 a=3", "a=1 a=3 a=6")]
    [InlineData("a=7 a=7", "a=1 a=2", "a=7 a=14")]
    public void Groups_are_counted_and_reduced_record_by_record(string steps, string counts, string sums)
    {
        var builder = new StreamsBuilder();
        var grouped = builder.Stream("in", Consumed.With(Serdes.Utf8, Serdes.Utf8)).GroupByKey();
        grouped.Count(Materialized.As("counts", Serdes.Int64)).ToStream().To("counted", Produced.With(Serdes.Utf8, Serdes.Int64));
        grouped.Reduce((sum, value) => (Number(sum) + Number(value)).ToString(CultureInfo.InvariantCulture), Materialized.As("sums", Serdes.Utf8)).ToStream().To("reduced", Produced.With(Serdes.Utf8, Serdes.Utf8));
        var driver = new TopologyTestDriver(builder.Build());
        foreach (var step in steps.Split(' '))
        {
            if (step == "!")
            {
                driver.Restart();
                continue;
            }

            driver.CreateInput("in", Serdes.Utf8, Serdes.Utf8).Pipe(step[..1], step[2..] == "-" ? null : step[2..], 1);
        }

        string.Join(' ', driver.CreateOutput("counted", Serdes.Utf8, Serdes.Int64).ReadAll().Select(record => $"{record.Key}={record.Value}")).ShouldBe(counts);
        string.Join(' ', driver.CreateOutput("reduced", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => $"{record.Key}={record.Value}")).ShouldBe(sums);
    }
}
