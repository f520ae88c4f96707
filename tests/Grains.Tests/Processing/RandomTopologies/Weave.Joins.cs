using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.RandomTopologies;

/// <summary>
/// Joins of streams, whose results are the same for any interleaving, and of streams with tables, which meet the table as it is when they come: what they find is known in worlds that read tables
/// first, and else chance (<see cref="LookedUp"/>).
/// </summary>
internal sealed partial class Weave
{
    private void AddJoin(Step step)
    {
        if (Stream(step.On) is not { } from)
        {
            return;
        }

        switch (step.Kind)
        {
            case StepKind.Join or StepKind.LeftJoin or StepKind.OuterJoin:
                AddStreamJoin(step, from, Stream(step.With)!);
                break;
            case StepKind.LookUpGlobal:
                AddGlobalLookUp(step, from);
                break;
            default:
                if (Table(step.With) is { } table)
                {
                    AddLookUp(step.Kind == StepKind.LeftLookUp, from, table);
                }

                break;
        }
    }

    private void AddStreamJoin(Step step, WovenStream left, WovenStream right)
    {
        var (lower, grace) = ((step.A % 40) - 20, step.C % 20);
        var upper = lower + (step.B % 30);
        var results = Models.Join(left.Exact.Records, right.Exact.Records, lower, upper, step.Kind != StepKind.Join, step.Kind == StepKind.OuterJoin).ToArray();
        if (results.Length > RecordsMax)
        {
            return;
        }

        var place = PlaceByKey(left);
        if (!place.TryMeet(PlaceByKey(right)))
        {
            right = Repartitioned(right, place.Count);
            place.TryMeet(right.Place).ShouldBeTrue();
        }

        (left.IsUsed, right.IsUsed) = (true, true);
        var windows = JoinWindows.Between(Ms(lower), Ms(upper)).Grace(Ms(grace));
        var joined = StreamJoined.With(Serdes.Utf8, Serdes.Utf8, Serdes.Utf8).WithName(Next("join"));
        var stream = step.Kind switch
        {
            StepKind.Join => left.Stream.Join(right.Stream, Functions.Joined, windows, joined),
            StepKind.LeftJoin => left.Stream.LeftJoin(right.Stream, Functions.Joined, windows, joined),
            _ => left.Stream.OuterJoin(right.Stream, Functions.Joined, windows, joined),
        };
        _streams.Add(new(stream, new Exact(results, IsOrdered: false), KeepsKey: true, place) { IsHeld = left.IsHeld && right.IsHeld });
    }

    private void AddLookUp(bool isLeft, WovenStream from, WovenTable table)
    {
        if (!PlaceByKey(from).TryMeet(table.Place))
        {
            from = Repartitioned(from, table.Place.Count);
            from.Place.TryMeet(table.Place).ShouldBeTrue();
        }

        (from.IsUsed, table.IsUsed) = (true, true);
        var joined = Joined.With(Serdes.Utf8, Serdes.Utf8).WithName(Next("looking"));
        var stream = isLeft
            ? from.Stream.LeftJoin(table.Table, (value, found) => $"{value}|{found ?? "_"}", joined)
            : from.Stream.Join(table.Table, (value, found) => $"{value}|{found}", joined);
        Write(stream, Found(from, table.Known, table.IsSettled, record => record.Key, isLeft), _maker);
    }

    private void AddGlobalLookUp(Step step, WovenStream from)
    {
        var topic = step.With % _partitions.Length;
        var global = _builder.GlobalTable(NameOf(topic), Consuming(), Materialized.As(Next("global"), Serdes.Utf8));
        var isLeft = step.A % 2 == 0;
        from.IsUsed = true;
        var stream = isLeft
            ? from.Stream.LeftJoin(global, (key, _) => OtherKey(key), (value, found) => $"{value}|{found ?? "_"}")
            : from.Stream.Join(global, (key, _) => OtherKey(key), (value, found) => $"{value}|{found}");
        Write(stream, Found(from, KnownTable.Of(_scenario.Sources[topic].Records), _scenario.Sources[topic].IsTable, record => OtherKey(record.Key), isLeft), _maker);
    }

    /// <summary>What is found in a table that is complete before the first record comes is known; in any other one it is chance.</summary>
    private Known Found(WovenStream from, KnownTable table, bool isSettled, Func<ModelRecord, string> keyOf, bool isLeft)
    {
        ModelRecord[] records = [.. from.Exact.Records.Where(record => record.Value is not null)];
        if (!_areTablesFirst || !isSettled || !from.IsHeld)
        {
            return new LookedUp(records, table.Changes?.Where(change => change.Value is not null).ToLookup(change => change.Key, change => change.Value!), keyOf, isLeft);
        }

        var found = records.Select(record => (Record: record, Value: table.Final.GetValueOrDefault(keyOf(record)))).Where(result => isLeft || result.Value is not null);
        return new Exact([.. found.Select(result => result.Record with { Value = $"{result.Record.Value}|{result.Value ?? "_"}" })], from.Exact.IsOrdered);
    }

    private static string OtherKey(string key) => $"k{Functions.Hash(key) % 3}";
}
