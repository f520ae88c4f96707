using System.Globalization;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Testing;

/// <summary>Topologies of every kind of window, described by a line of text, that count events and write "start-end=count"; a deleted session counts 0.</summary>
internal static class WindowTopologies
{
    public const string Out = "out";
    public const string Late = "late";
    public const string Store = "windows";

    /// <param name="windows">"tumbling size grace", "hopping size advance grace", "session gap grace" or "sliding difference grace".</param>
    /// <param name="emit">"close", "update" or "every ms".</param>
    /// <param name="outOfOrderness">The watermark is the largest time, less this, less 1.</param>
    /// <param name="retention">Of the store, in ms.</param>
    /// <param name="inputs">Topics "in0", "in1", ... that are merged.</param>
    public static Topology Counting(string windows, string emit = "close", long outOfOrderness = 0, long retention = 1_000_000, int inputs = 1)
    {
        var builder = new StreamsBuilder();
        var consumed = Consumed.With(Serdes.Utf8, Serdes.Int64).AllowTimesBefore1970().WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(Ms(outOfOrderness)));
        var stream = builder.Stream("in0", consumed);
        for (var input = 1; input < inputs; input++)
        {
            stream = stream.Merge(builder.Stream($"in{input}", consumed));
        }

        Count(stream.GroupByKey(), windows.Split(' '), emit.Split(' '), Materialized.As(Store, Serdes.Int64).WithRetention(Ms(retention)))
            .Map((window, count) => (window.Key, $"{window.WindowStartMs}-{window.WindowEndMs}={count}"))
            .To(Out, Produced.With(Serdes.Utf8, Serdes.Utf8));
        return builder.Build();
    }

    public static TimeSpan Ms(long ms) => TimeSpan.FromMilliseconds(ms);

    public static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);

    /// <summary>"key@time"; the key may be left out.</summary>
    public static (string Key, long Time) Event(string text) => text.Split('@') is [var key, var time] ? (key, Number(time)) : ("k", Number(text));

    public static KStream<Windowed<string>, long> Count<TValue>(KGroupedStream<string, TValue> grouped, string[] windows, string[] emit, Materialized<long> store)
    {
        switch (windows)
        {
            case ["session", var gap, var grace]:
                var sessions = grouped.WindowedBy(SessionWindows.With(Ms(Number(gap))).Grace(Ms(Number(grace)))).LateTo(Late);
                return (emit is ["every", var d1] ? sessions.EmitEvery(Ms(Number(d1))) : emit is ["update"] ? sessions.EmitOnUpdate() : sessions.EmitOnClose()).Count(store);
            case ["sliding", var difference, var grace]:
                var sliding = grouped.WindowedBy(SlidingWindows.Of(Ms(Number(difference))).Grace(Ms(Number(grace)))).LateTo(Late);
                return (emit is ["every", var d2] ? sliding.EmitEvery(Ms(Number(d2))) : emit is ["update"] ? sliding.EmitOnUpdate() : sliding.EmitOnClose()).Count(store);
            default:
                var timed = windows is ["hopping", var size, var advance, var hoppingGrace]
                    ? grouped.WindowedBy(HoppingWindows.Of(Ms(Number(size)), Ms(Number(advance))).Grace(Ms(Number(hoppingGrace)))).LateTo(Late)
                    : grouped.WindowedBy(TumblingWindows.Of(Ms(Number(windows[1]))).Grace(Ms(Number(windows[2])))).LateTo(Late);
                return (emit is ["every", var d3] ? timed.EmitEvery(Ms(Number(d3))) : emit is ["update"] ? timed.EmitOnUpdate() : timed.EmitOnClose()).Count(store);
        }
    }
}
