using OrleansStreams.Silo.Http.Metrics;

namespace OrleansStreams.Silo.Tests.Http.Metrics;

public class PrometheusTextTests
{
    [Fact]
    public void A_name_gets_its_unit_and_total_for_counters_once()
    {
        PrometheusText.MetricName("streams.records", null, MetricKind.Counter).ShouldBe("streams_records_total");
        PrometheusText.MetricName("streams.flush.duration", "s", MetricKind.Histogram).ShouldBe("streams_flush_duration_seconds");
        PrometheusText.MetricName("streams.log_bytes", "By", MetricKind.Gauge).ShouldBe("streams_log_bytes");
        PrometheusText.MetricName("appended_total", "{record}", MetricKind.Counter).ShouldBe("appended_total");
        PrometheusText.MetricName("2nd-try", null, MetricKind.Gauge).ShouldBe("_2nd_try");
    }

    [Fact]
    public void Labels_are_escaped_and_stand_in_the_order_of_their_names()
    {
        var labels = PrometheusText.Labels([new("topic", "a\"b\\c\nd"), new("acks", true), new("zone.id", null)]);

        labels.ShouldBe("acks=\"True\",topic=\"a\\\"b\\\\c\\nd\",zone_id=\"\"");
    }

    [Fact]
    public void Tags_that_become_one_label_are_joined_because_a_label_may_stand_only_once() =>
        PrometheusText.Labels([new("a.b", 1), new("a_b", 2)]).ShouldBe("a_b=\"1;2\"");
}
