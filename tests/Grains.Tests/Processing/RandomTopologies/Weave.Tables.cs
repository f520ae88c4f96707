using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.RandomTopologies;

/// <summary>
/// Tables. Their last values follow from their inputs alone. The changes on the way do as well as long as a key's records have an order; behind a merge, a new key or a join of tables they
/// are chance, and only the last one of each key is compared.
/// </summary>
internal sealed partial class Weave
{
    private void AddTable(Step step)
    {
        switch (step.Kind)
        {
            case StepKind.Aggregate or StepKind.AggregateBy:
                AddAggregate(step);
                break;
            case StepKind.TopN:
                AddTopN(step);
                break;
            case StepKind.Cogroup:
                AddCogroup(step);
                break;
            case StepKind.ToTable:
                AddToTable(step);
                break;
            case StepKind.ToStream:
                AddToStream(step);
                break;
            default:
                if (Table(step.On) is { } from)
                {
                    AddTable(step, from);
                }

                break;
        }
    }

    private void AddAggregate(Step step)
    {
        if (Stream(step.On) is not { } from)
        {
            return;
        }

        var (isNewKey, salt, store) = (step.Kind == StepKind.AggregateBy, step.A, Next("table"));
        var isOrdered = from.Exact.IsOrdered && !isNewKey;
        var kind = Aggregators.Of(step.B, isOrdered);
        var grouped = s_grouped.WithName(Next("grouped"));
        from.IsUsed = true;
        var table = Aggregators.Table(kind, isNewKey ? from.Stream.GroupBy((key, value) => Functions.NewKey(key, value, salt), grouped) : from.Stream.GroupByKey(grouped), store);

        var records = from.Exact.Records.Where(record => record.Value is not null).Select(record => isNewKey ? record with { Key = Functions.NewKey(record.Key, record.Value, salt) } : record).ToArray();
        var final = records.GroupBy(record => record.Key).ToDictionary(key => key.Key, key => Aggregators.Model(kind, key));
        var changes = isOrdered
            ? records.Select((record, at) => record with { Value = Aggregators.Model(kind, records.Take(at + 1).Where(other => other.Key == record.Key)) }).ToArray()
            : null;
        _tables.Add(new(table, new KnownTable(final, changes), isNewKey ? new Partitioning(null) : PlaceByKey(from)));
    }

    /// <summary>Of a changelog, or of a stream whose records of a key have an order.</summary>
    private void AddToTable(Step step)
    {
        var candidates = _changelogs.Concat(_streams.Where(stream => stream.Exact.IsOrdered)).ToArray();
        if (candidates.Length == 0)
        {
            return;
        }

        var from = candidates[step.On % candidates.Length];
        from = from.KeepsKey ? from : Repartitioned(from, _world.Next(2) == 0 ? null : _world.Next(1, 5));
        from.IsUsed = true;
        var known = from.Known is Changelog changelog ? new KnownTable(changelog.Final, null) : KnownTable.Of(from.Exact.Records);
        _tables.Add(new(from.Stream.ToTable(Materialized.As(Next("table"), Serdes.Utf8)), known, from.Place));
    }

    private void AddToStream(Step step)
    {
        if (Table(step.On) is not { } from)
        {
            return;
        }

        from.IsUsed = true;
        var stream = new WovenStream(from.Table.ToStream(), OfTable(from.Known), KeepsKey: true, from.Place);
        (stream.Known is Exact ? _streams : _changelogs).Add(stream);
    }

    private void AddTable(Step step, WovenTable from)
    {
        var salt = step.A;
        from.IsUsed = true;
        switch (step.Kind)
        {
            case StepKind.TableFilter:
                var filtered = step.B % 2 == 0
                    ? from.Table.Filter((key, value) => Functions.IsKept(key, value, salt), PerhapsKept())
                    : from.Table.FilterNot((key, value) => !Functions.IsKept(key, value, salt), PerhapsKept());
                _tables.Add(new(filtered, from.Known.Mapped((key, value) => Functions.IsKept(key, value, salt) ? value : null), from.Place) { IsSettled = from.IsSettled });
                break;
            case StepKind.TableMapValues:
                _tables.Add(new(from.Table.MapValues(value => Functions.Mapped(value, salt)!, PerhapsKept()), from.Known.Mapped((_, value) => Functions.Mapped(value, salt)), from.Place) { IsSettled = from.IsSettled });
                break;
            case StepKind.TableGroupBy:
                AddTableGroupBy(salt, from);
                break;
            case StepKind.TableSuppress:
                BufferConfig buffer = _world.Next(2) == 0 ? BufferConfig.Unbounded() : BufferConfig.MaxRecords(_world.Next(4));
                _tables.Add(new(from.Table.Suppress(Suppressed.UntilTimeLimit(Ms(step.B % 60), buffer).WithName(Next("suppress")), Serdes.Utf8), from.Known with { Changes = null }, from.Place));
                break;
            case StepKind.ForeignKeyJoin or StepKind.ForeignKeyLeftJoin:
                AddForeignKeyJoin(step, from, Table(step.With)!);
                break;
            default:
                AddTableJoin(step, from, Table(step.With)!);
                break;
        }
    }

    private void AddTopN(Step step)
    {
        if (Stream(step.On) is not { } from)
        {
            return;
        }

        from.IsUsed = true;
        var count = 1 + (step.B % 5);
        var table = from.Stream.GroupByKey(s_grouped.WithName(Next("grouped"))).TopN(count, StringComparer.Ordinal, Kept()).MapValues(List);
        var final = from.Exact.Records.Where(record => record.Value is not null).GroupBy(record => record.Key)
            .ToDictionary(key => key.Key, key => List([.. key.Select(record => record.Value!).Order(StringComparer.Ordinal).Take(count)]));
        _tables.Add(new(table, new KnownTable(final, null), PlaceByKey(from)));

        static string List(IReadOnlyList<string> values) => Functions.Short(string.Join(',', values));
    }

    private void AddCogroup(Step step)
    {
        if (Stream(step.On) is not { } from)
        {
            return;
        }

        (var other, var place) = Met(from, Stream(step.With)!);
        var final = BothOf(from, other).Where(record => record.Value is not null).GroupBy(record => record.Key).ToDictionary(key => key.Key, key => Aggregators.Model(AggregatorKind.Aggregate, key));
        _tables.Add(new(Cogrouped(from, other).Aggregate(() => "0", Kept()), new KnownTable(final, null), place));
    }

    /// <summary>Another stream where the first is by key.</summary>
    private (WovenStream Other, Partitioning Place) Met(WovenStream from, WovenStream other)
    {
        var place = PlaceByKey(from);
        if (!place.TryMeet(PlaceByKey(other)))
        {
            other = Repartitioned(other, place.Count);
            place.TryMeet(other.Place).ShouldBeTrue();
        }

        (from.IsUsed, other.IsUsed) = (true, true);
        return (other, place);
    }

    private CogroupedKStream<string, string> Cogrouped(WovenStream from, WovenStream other) =>
        from.Stream.GroupByKey(s_grouped.WithName(Next("grouped"))).Cogroup<string>((_, value, sum) => Functions.Sum(sum, value))
            .Cogroup(other.Stream.GroupByKey(s_grouped.WithName(Next("grouped"))), (_, value, sum) => Functions.Sum(sum, OfOther(value)));

    /// <summary>The records of both streams, as a cogrouped aggregate takes them.</summary>
    private static IEnumerable<ModelRecord> BothOf(WovenStream from, WovenStream other) =>
        from.Exact.Records.Concat(other.Exact.Records.Select(record => record with { Value = record.Value is null ? null : OfOther(record.Value) }));

    private static string OfOther(string value) => $"other {value}";

    private void AddTableGroupBy(int salt, WovenTable from)
    {
        var table = from.Table.GroupBy((key, value) => (Functions.NewKey(key, value, salt), value), s_grouped.WithName(Next("grouped")))
            .Aggregate(() => string.Empty, (_, value, rows) => Functions.WithRow(rows, value), (_, value, rows) => Functions.WithoutRow(rows, value)!, Kept());
        var final = from.Known.Final.GroupBy(row => Functions.NewKey(row.Key, row.Value, salt))
            .ToDictionary(group => group.Key, group => group.Aggregate(string.Empty, (rows, row) => Functions.WithRow(rows, row.Value)));
        _tables.Add(new(table, new KnownTable(final, null), new Partitioning(null)) { IsSettled = from.IsSettled });
    }

    private void AddForeignKeyJoin(Step step, WovenTable left, WovenTable right)
    {
        right.IsUsed = true;
        var (salt, isLeft) = (step.A, step.Kind == StepKind.ForeignKeyLeftJoin);
        var table = isLeft
            ? left.Table.LeftJoin(right.Table, (_, value) => Functions.ForeignKey(value, salt), Functions.Joined, Kept(), Serdes.Utf8)
            : left.Table.Join(right.Table, (_, value) => Functions.ForeignKey(value, salt), Functions.Joined, Kept(), Serdes.Utf8);
        _tables.Add(new(table, Models.JoinByForeignKey(left.Known, right.Known, value => Functions.ForeignKey(value, salt), isLeft), left.Place) { IsSettled = left.IsSettled && right.IsSettled });
    }

    private Materialized<string>? PerhapsKept() => _world.Next(2) == 0 ? null : Kept();

    private Materialized<string> Kept() => Materialized.As(Next("table"), Serdes.Utf8);

    private void AddTableJoin(Step step, WovenTable left, WovenTable right)
    {
        right.IsUsed = true;
        if (!left.Place.TryMeet(right.Place))
        {
            var moved = Repartitioned(new WovenStream(right.Table.ToStream(), OfTable(right.Known), KeepsKey: true, right.Place), left.Place.Count);
            right = new WovenTable(moved.Stream.ToTable(Kept()), right.Known, moved.Place) { IsSettled = right.IsSettled };
            left.Place.TryMeet(right.Place).ShouldBeTrue();
        }

        KTable<string, string> Joined(Materialized<string>? materialized) => step.Kind switch
        {
            StepKind.TableJoin => left.Table.Join(right.Table, Functions.Joined, materialized),
            StepKind.TableLeftJoin => left.Table.LeftJoin(right.Table, Functions.Joined, materialized),
            _ => left.Table.OuterJoin(right.Table, Functions.Joined, materialized),
        };
        KTable<string, string> table;
        try
        {
            table = Joined(PerhapsKept());
        }
        catch (StreamsException error) when (error.Message.Contains("keep the result of their join", StringComparison.Ordinal))
        {
            table = Joined(Kept());
        }

        var known = Models.Join(left.Known, right.Known, needsLeft: step.Kind != StepKind.TableOuterJoin, needsRight: step.Kind == StepKind.TableJoin);
        _tables.Add(new(table, known, left.Place) { IsSettled = left.IsSettled && right.IsSettled });
    }
}
