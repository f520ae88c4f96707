using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Testing;

public sealed class PrintingTests
{
    [Fact]
    public void A_store_that_processors_share_is_drawn_once_with_a_line_to_each()
    {
        var shared = Stores.KeyValue("shared", Serdes.Utf8, Serdes.Utf8);
        var builder = new StreamsBuilder();
        var stream = builder.Stream("in", ProcessorFixture.Texts);
        stream.Process(() => new TextProcessor(_ => { }, (_, _) => { }), Processed.With(shared).WithName("first"));
        stream.Process(() => new TextProcessor(_ => { }, (_, _) => { }), Processed.With(shared).WithName("second"));

        var lines = builder.Build().ToMermaid().Split('\n').Select(line => line.Trim()).ToArray();
        lines.Where(line => line.Contains("shared\")]", StringComparison.Ordinal)).ShouldBe(["store1_1[(\"shared\")]"]);
        lines.Where(line => line.Contains("--- store1_1", StringComparison.Ordinal)).ShouldBe(["node1 --- store1_1", "node2 --- store1_1"]);
    }

    [Fact]
    public void What_stored_state_depends_on_tells_apart_the_same_steps_on_other_parents()
    {
        static string Shape(bool isFiltered)
        {
            var builder = new StreamsBuilder();
            var stream = builder.Stream("in", ProcessorFixture.Texts);
            var filtered = stream.Filter((_, _) => true);
            (isFiltered ? filtered : stream).GroupByKey().Count(Materialized.As("counts", Serdes.Int64));
            return builder.Build().SubTopologies.ShouldHaveSingleItem().Shape;
        }

        Shape(isFiltered: true).ShouldBe(Shape(isFiltered: true));
        Shape(isFiltered: true).ShouldNotBe(Shape(isFiltered: false), "counted is what was filtered, or everything");
    }

    [Fact]
    public void A_topology_prints_itself_as_text()
    {
        Example().Describe().ShouldBe(
            """
            Sub-topology 0
              source-0: topic orders key utf8 value int64 -> filter-1
              filter-1: filter -> split-2
              split-2: split -> large-3, rest-4
              large-3: branch -> sink-5
              rest-4: default branch -> select-key-6
              sink-5: to large-orders
              select-key-6: map -> amount
              amount: to amount-repartition
            Sub-topology 1
              amount-source: topic amount-repartition key int64 value int64 -> count-9
              count-9: aggregate store counts key int64 value int64 -> table-filter-10
              table-filter-10: table-filter store many key int64 value int64 -> to-stream-11
              to-stream-11: to-stream -> sink-12
              sink-12: to one of a, b

            """);
    }

    [Fact]
    public void A_topology_prints_itself_as_a_mermaid_chart()
    {
        Example().ToMermaid().ShouldBe(
            """
            flowchart TD
                topic0(["orders"])
                topic1(["amount-repartition"])
                topic2(["large-orders"])
                topic3(["a"])
                topic4(["b"])
                subgraph sub0["Sub-topology 0"]
                    node0["source-0"]
                    node1["filter-1"]
                    node2["split-2"]
                    node3["large-3<br/>branch"]
                    node4["rest-4<br/>default branch"]
                    node5["sink-5"]
                    node6["select-key-6<br/>map"]
                    node7["amount"]
                end
                subgraph sub1["Sub-topology 1"]
                    node8["amount-source"]
                    node9["count-9<br/>aggregate store counts key int64 value int64"]
                    store9_0[("counts")]
                    node10["table-filter-10<br/>table-filter store many key int64 value int64"]
                    store10_0[("many")]
                    node11["to-stream-11"]
                    node12["sink-12<br/>to one of a, b"]
                end
                topic0 --> node0
                node0 --> node1
                node1 --> node2
                node2 --> node3
                node2 --> node4
                node3 --> node5
                node5 --> topic2
                node4 --> node6
                node6 --> node7
                node7 --> topic1
                topic1 --> node8
                node8 --> node9
                node9 --- store9_0
                node9 --> node10
                node10 --- store10_0
                node10 --> node11
                node11 --> node12
                node12 --> topic3
                node12 --> topic4

            """);
    }

    private static Topology Example()
    {
        var builder = new StreamsBuilder();
        var branches = builder.Stream("orders", Consumed.With(Serdes.Utf8, Serdes.Int64)).Filter((_, amount) => amount > 0).Split()
            .Branch("large", (_, amount) => amount > 1000).DefaultBranch("rest");
        branches["large"].To("large-orders", Produced.With(Serdes.Utf8, Serdes.Int64));
        branches["rest"].GroupBy((_, amount) => amount, Grouped.With(Serdes.Int64, Serdes.Int64).WithName("amount"))
            .Count(Materialized.As("counts", Serdes.Int64))
            .Filter((_, count) => count > 1, Materialized.As("many", Serdes.Int64))
            .ToStream().To((amount, _) => amount < 10 ? "a" : "b", ["a", "b"], Produced.With(Serdes.Int64, Serdes.Int64));
        return builder.Build();
    }
}
