using System.Globalization;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.RandomTopologies;

/// <summary>What is made of the records of a group or of a window.</summary>
internal enum AggregatorKind
{
    Count,
    Reduce,
    Aggregate,

    /// <summary>An aggregate that tells one order of its records from another.</summary>
    Chain,
}

/// <summary>Aggregates, by the engine and by the model.</summary>
internal static class Aggregators
{
    /// <summary>Where the order of records is chance there is no chain.</summary>
    public static AggregatorKind Of(int number, bool isOrdered) => (AggregatorKind)(number % 4) is var kind && kind == AggregatorKind.Chain && !isOrdered ? AggregatorKind.Aggregate : kind;

    public static string Model(AggregatorKind kind, IEnumerable<ModelRecord> records) => kind switch
    {
        AggregatorKind.Count => records.Count().ToString(CultureInfo.InvariantCulture),
        AggregatorKind.Reduce => records.Select(record => record.Value!).Aggregate(Functions.Max),
        AggregatorKind.Aggregate => records.Aggregate("0", (sum, record) => Functions.Sum(sum, record.Value)),
        _ => records.Aggregate(string.Empty, (chain, record) => Functions.Chain(chain, record.Value)),
    };

    public static KTable<string, string> Table(AggregatorKind kind, KGroupedStream<string, string> grouped, string store) => kind switch
    {
        AggregatorKind.Count => grouped.Count(Materialized.As(store, Serdes.Int64)).MapValues(Text),
        AggregatorKind.Reduce => grouped.Reduce(Functions.Max, Texts(store, 0)),
        AggregatorKind.Aggregate => grouped.Aggregate(() => "0", (_, value, sum) => Functions.Sum(sum, value), Texts(store, 0)),
        _ => grouped.Aggregate(() => string.Empty, (_, value, chain) => Functions.Chain(chain, value), Texts(store, 0)),
    };

    public static KStream<Windowed<string>, string> Windows(AggregatorKind kind, TimeWindowedKStream<string, string> windows, string store, int retention, bool isSuppressed) => kind switch
    {
        AggregatorKind.Count => Held(windows.Count(Counts(store, retention)), isSuppressed).MapValues(Text),
        AggregatorKind.Reduce => Held(windows.Reduce(Functions.Max, Texts(store, retention)), isSuppressed),
        AggregatorKind.Aggregate => Held(windows.Aggregate(() => "0", (_, value, sum) => Functions.Sum(sum, value), Texts(store, retention)), isSuppressed),
        _ => Held(windows.Aggregate(() => string.Empty, (_, value, chain) => Functions.Chain(chain, value), Texts(store, retention)), isSuppressed),
    };

    public static KStream<Windowed<string>, string> Windows(AggregatorKind kind, SessionWindowedKStream<string, string> windows, string store, int retention, bool isSuppressed) => kind switch
    {
        AggregatorKind.Count => Held(windows.Count(Counts(store, retention)), isSuppressed).MapValues(Text),
        AggregatorKind.Reduce => Held(windows.Reduce(Functions.Max, Texts(store, retention)), isSuppressed),
        _ => Held(windows.Aggregate(() => "0", (_, value, sum) => Functions.Sum(sum, value), (_, one, other) => Functions.AddSums(one, other), Texts(store, retention)), isSuppressed),
    };

    public static KStream<Windowed<string>, string> Windows(AggregatorKind kind, SlidingWindowedKStream<string, string> windows, string store, int retention, bool isSuppressed) => kind switch
    {
        AggregatorKind.Count => Held(windows.Count(Counts(store, retention)), isSuppressed).MapValues(Text),
        AggregatorKind.Reduce => Held(windows.Reduce(Functions.Max, Texts(store, retention)), isSuppressed),
        _ => Held(windows.Aggregate(() => "0", (_, value, sum) => Functions.Sum(sum, value), Texts(store, retention), Serdes.Utf8), isSuppressed),
    };

    private static KStream<Windowed<string>, T> Held<T>(KStream<Windowed<string>, T> results, bool isSuppressed) =>
        isSuppressed ? results.Suppress(Suppressed.UntilWindowCloses(BufferConfig.Unbounded())) : results;

    /// <summary>A session that is deleted comes as 0, which is no count.</summary>
    private static string Text(long count) => count == 0 ? null! : count.ToString(CultureInfo.InvariantCulture);

    private static Materialized<long> Counts(string store, int retention) => Materialized.As(store, Serdes.Int64).WithRetention(TimeSpan.FromMilliseconds(retention));

    private static Materialized<string> Texts(string store, int retention) => Materialized.As(store, Serdes.Utf8).WithRetention(TimeSpan.FromMilliseconds(retention));
}
