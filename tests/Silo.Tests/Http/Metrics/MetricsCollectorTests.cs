using System.Diagnostics.Metrics;
using System.Text.RegularExpressions;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Silo.Http.Metrics;

namespace OrleansStreams.Silo.Tests.Http.Metrics;

/// <summary>Instruments here have names of their own, since every collector of the process hears them.</summary>
public sealed partial class MetricsCollectorTests : IDisposable
{
    private readonly Meter meter = new(MetricsCollector.MeterName);
    private readonly MetricsCollector collector = new(NullLogger<MetricsCollector>.Instance);

    [Fact]
    public void Counters_of_one_name_add_up_whatever_the_order_of_their_tags()
    {
        using var second = new Meter(MetricsCollector.MeterName);
        meter.CreateCounter<long>("t1.records", null, "Records, all\nof them").Add(3, new("topic", "a"), new("acks", "all"));
        second.CreateCounter<long>("t1.records").Add(4, new("acks", "all"), new("topic", "a"));

        var lines = Lines("t1_records");

        lines.ShouldBe(["# HELP t1_records_total Records, all\\nof them", "# TYPE t1_records_total counter", "t1_records_total{acks=\"all\",topic=\"a\"} 7"]);
    }

    [Fact]
    public void Up_down_counters_and_gauges_are_gauges()
    {
        var members = meter.CreateUpDownCounter<int>("t2.members");
        members.Add(5);
        members.Add(-2);
        var level = meter.CreateGauge<double>("t2.level");
        level.Record(8);
        level.Record(1.5);

        Lines("t2_").ShouldBe(["# HELP t2_level t2.level", "# TYPE t2_level gauge", "t2_level 1.5", "# HELP t2_members t2.members", "# TYPE t2_members gauge", "t2_members 3"]);
    }

    [Fact]
    public void A_histogram_has_cumulative_buckets_with_inclusive_bounds()
    {
        var advice = new InstrumentAdvice<double> { HistogramBucketBoundaries = [1, 2, 5] };
        var histogram = meter.CreateHistogram<double>("t3.wait", "s", "Wait", advice: advice);
        foreach (var value in new[] { 0.5, 1, 1.5, 5, 9 })
        {
            histogram.Record(value, new KeyValuePair<string, object?>("topic", "a"));
        }

        histogram.Record(double.NaN, new KeyValuePair<string, object?>("topic", "a"));

        Lines("t3_wait").Skip(2).ShouldBe(
        [
            "t3_wait_seconds_bucket{topic=\"a\",le=\"1\"} 2",
            "t3_wait_seconds_bucket{topic=\"a\",le=\"2\"} 3",
            "t3_wait_seconds_bucket{topic=\"a\",le=\"5\"} 4",
            "t3_wait_seconds_bucket{topic=\"a\",le=\"+Inf\"} 5",
            "t3_wait_seconds_sum{topic=\"a\"} 17",
            "t3_wait_seconds_count{topic=\"a\"} 5",
        ]);
    }

    [Fact]
    public void An_observable_instrument_is_asked_at_each_scrape_and_what_it_no_longer_names_is_gone()
    {
        var topics = new List<string> { "a", "b" };
        meter.CreateObservableGauge("t4.lag", () => topics.Select(topic => new Measurement<long>(topic[0], new KeyValuePair<string, object?>("topic", topic))));

        Lines("t4_lag").Skip(2).ShouldBe(["t4_lag{topic=\"a\"} 97", "t4_lag{topic=\"b\"} 98"]);
        topics.Remove("a");
        Lines("t4_lag").Skip(2).ShouldBe(["t4_lag{topic=\"b\"} 98"]);
    }

    [Fact]
    public void An_observable_instrument_that_fails_hides_no_other()
    {
        meter.CreateObservableCounter("t5.bad", long () => throw new InvalidOperationException("broken"));
        meter.CreateCounter<long>("t5.good").Add(1);

        Lines("t5_good").ShouldContain("t5_good_total 1");
    }

    [Fact]
    public void Labels_from_outside_cannot_grow_the_memory_without_bound()
    {
        var counter = meter.CreateCounter<long>("t6.records");
        for (var i = 0; i < MetricFamily.SeriesMax + 500; i++)
        {
            counter.Add(1, new KeyValuePair<string, object?>("topic", i));
        }

        var lines = Lines("t6_records");
        lines.Length.ShouldBe(2 + MetricFamily.SeriesMax + 1);
        lines.ShouldContain("t6_records_total{overflow=\"true\"} 500");
    }

    [Fact]
    public void A_second_instrument_of_the_same_name_and_another_type_is_left_out()
    {
        meter.CreateUpDownCounter<long>("t7.level").Add(1);
        meter.CreateHistogram<long>("t7.level").Record(1);

        Lines("t7_level").ShouldBe(["# HELP t7_level t7.level", "# TYPE t7_level gauge", "t7_level 1"]);
    }

    [Fact]
    public void Every_line_of_a_scrape_is_well_formed_and_each_type_is_told_once()
    {
        meter.CreateCounter<long>("t8.odd name!").Add(1, new KeyValuePair<string, object?>("la bel", "va\"lue\n"));
        meter.CreateHistogram<int>("t8.sizes", "By").Record(int.MaxValue);

        var lines = collector.Scrape().Split('\n', StringSplitOptions.RemoveEmptyEntries);

        lines.ShouldAllBe(line => Sample().IsMatch(line) || Comment().IsMatch(line));
        lines.Where(line => line.StartsWith("# TYPE", StringComparison.Ordinal)).ShouldBeUnique();
        lines.ShouldContain("t8_odd_name__total{la_bel=\"va\\\"lue\\n\"} 1");
    }

    [Fact]
    public async Task Concurrent_additions_are_all_counted()
    {
        var counter = meter.CreateCounter<long>("t9.records");
        var histogram = meter.CreateHistogram<long>("t9.sizes");
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() =>
        {
            for (var i = 0; i < 10_000; i++)
            {
                counter.Add(1);
                histogram.Record(1);
            }
        })));

        Lines("t9_records").ShouldContain("t9_records_total 80000");
        Lines("t9_sizes").ShouldContain("t9_sizes_count 80000");
    }

    public void Dispose()
    {
        collector.Dispose();
        meter.Dispose();
    }

    private string[] Lines(string prefix) =>
        [.. collector.Scrape().Split('\n').Where(line => line.StartsWith(prefix, StringComparison.Ordinal) || line.StartsWith("# HELP " + prefix, StringComparison.Ordinal) || line.StartsWith("# TYPE " + prefix, StringComparison.Ordinal))];

    [GeneratedRegex("""^[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\.)*"(,[a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\.)*")*\})? (-?[0-9.]+(E[+-]?[0-9]+)?|[+-]Inf|NaN)$""", RegexOptions.None)]
    private static partial Regex Sample();

    [GeneratedRegex("^# (HELP [a-zA-Z_:][a-zA-Z0-9_:]* .*|TYPE [a-zA-Z_:][a-zA-Z0-9_:]* (counter|gauge|histogram))$")]
    private static partial Regex Comment();
}
