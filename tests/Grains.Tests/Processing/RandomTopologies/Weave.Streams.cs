using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.RandomTopologies;

/// <summary>Steps without state, and topics between steps. A is the salt of a step's function.</summary>
internal sealed partial class Weave
{
    private void AddStateless(Step step)
    {
        if (step.Kind == StepKind.Read)
        {
            Read(step.A % _partitions.Length);
            return;
        }

        if (Stream(step.On) is not { } from)
        {
            return;
        }

        var (stream, records, isOrdered, salt) = (from.Stream, from.Exact.Records, from.Exact.IsOrdered, step.A);
        switch (step.Kind)
        {
            case StepKind.Filter:
                Add(from, stream.Filter((key, value) => Functions.IsKept(key, value, salt)), records.Where(record => Functions.IsKept(record.Key, record.Value, salt)), isOrdered, from.KeepsKey);
                break;
            case StepKind.FilterNot:
                Add(from, stream.FilterNot((key, value) => Functions.IsKept(key, value, salt)), records.Where(record => !Functions.IsKept(record.Key, record.Value, salt)), isOrdered, from.KeepsKey);
                break;
            case StepKind.MapValues:
                Add(from, stream.MapValues(value => Functions.Mapped(value, salt)!), records.Select(record => record with { Value = Functions.Mapped(record.Value, salt) }), isOrdered, from.KeepsKey);
                break;
            case StepKind.FlatMapValues:
                Add(
                    from, stream.Peek((_, _) => { }).FlatMapValues(value => Functions.Many(value, salt)),
                    records.SelectMany(record => Functions.Many(record.Value, salt).Select(value => record with { Value = value })), isOrdered, from.KeepsKey);
                break;
            case StepKind.FlatMap:
                Add(
                    from, stream.FlatMap((key, value) => Functions.Many(value, salt).Select(one => (Functions.NewKey(key, one, salt), one))),
                    records.SelectMany(record => Functions.Many(record.Value, salt).Select(one => record with { Key = Functions.NewKey(record.Key, one, salt), Value = one })), isOrdered: false, keepsKey: false);
                break;
            case StepKind.SelectKey:
                Add(
                    from, stream.SelectKey((key, value) => Functions.NewKey(key, value, salt)),
                    records.Select(record => record with { Key = Functions.NewKey(record.Key, record.Value, salt) }), isOrdered: false, keepsKey: false);
                break;
            case StepKind.Repartition:
                _streams.Add(Repartitioned(from, _world.Next(2) == 0 ? null : _world.Next(1, 5)));
                break;
            case StepKind.Through:
                AddThrough(from);
                break;
            case StepKind.ToChosen:
                AddToChosen(from, salt);
                break;
            case StepKind.Process:
                AddProcessor(from, 1 + (salt % 40));
                break;
            case StepKind.Deduplicate:
                AddDeduplication(from, step);
                break;
            case StepKind.Merge:
                AddMerge(from, Stream(step.With)!);
                break;
            default:
                AddSplit(from, step);
                break;
        }
    }

    /// <summary>By way of a topic of the user's. When one task writes it, nothing but its end says how far it has come.</summary>
    private void AddThrough(WovenStream from)
    {
        from.IsUsed = true;
        var topic = Next("through");
        var partitions = _world.Next(1, 5);
        Topics.Add(topic, partitions);
        var consumed = Consumed.With(Serdes.Utf8, Serdes.Utf8).AllowTimesBefore1970().WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.FromDays(1)));
        _streams.Add(new(from.Stream.Through(topic, s_produced, consumed), from.Known, KeepsKey: true, new Partitioning(partitions)) { IsHeld = from.IsHeld });
    }

    /// <summary>Who comes first passes, which is known only where the records of a key have an order.</summary>
    private void AddDeduplication(WovenStream from, Step step)
    {
        if (!from.Exact.IsOrdered)
        {
            return;
        }

        from.IsUsed = true;
        var size = 1 + (step.A % 40);
        var stream = from.Stream.Deduplicate(DeduplicationWindow.Of(Ms(size)).Grace(Ms(step.B % 20)), s_grouped.WithName(Next("grouped")), Next("deduplicate"));
        _streams.Add(new(stream, new Exact([.. Models.Deduplicate(from.Exact.Records, size)], IsOrdered: true), KeepsKey: true, PlaceByKey(from)) { IsHeld = from.IsHeld });
    }

    /// <summary>Streams of two sources that have as many partitions, or are given as many.</summary>
    private void AddMerge(WovenStream from, WovenStream other)
    {
        if (from.Exact.Records.Count + other.Exact.Records.Count > RecordsMax)
        {
            return;
        }

        other = from.Place.TryMeet(other.Place) ? other : Repartitioned(other, from.Place.Count);
        from.Place.TryMeet(other.Place).ShouldBeTrue();
        other.IsUsed = true;
        from.IsUsed = true;
        var both = new Exact([.. from.Exact.Records, .. other.Exact.Records], IsOrdered: false);
        _streams.Add(new(from.Stream.Merge(other.Stream), both, from.KeepsKey && other.KeepsKey, from.Place) { IsHeld = from.IsHeld && other.IsHeld });
    }

    /// <summary>To topics that are chosen record by record.</summary>
    private void AddToChosen(WovenStream from, int salt)
    {
        from.IsUsed = true;
        var count = _world.Next(1, 4);
        int Choice(string key, string? value) => (int)(Functions.Hash($"{key},{value}", salt) % (uint)count);
        string[] topics =
        [
            .. Enumerable.Range(0, count).Select(choice =>
                NewResults(new Exact([.. from.Exact.Records.Where(record => Choice(record.Key, record.Value) == choice)], from.Exact.IsOrdered), _maker)),
        ];
        from.Stream.To((key, value) => topics[Choice(key, value)], topics, s_produced);
    }

    /// <summary>By the processor API: what comes passes, and what <see cref="Summing"/> tells by its timer is behind the last event of its time whenever the timer runs.</summary>
    private void AddProcessor(WovenStream from, int size)
    {
        from = from.KeepsKey ? from : Repartitioned(from, null);
        var sums = Stores.KeyValue(Next("sums"), Serdes.Utf8, Serdes.Utf8);
        var processed = from.Stream.Process(() => new Summing(sums, size), Processed.With(sums).WithName(Next("summing")));
        Add(from, processed.Child(Summing.Passed), from.Exact.Records, from.Exact.IsOrdered, keepsKey: false);
        var final = from.Exact.Records.GroupBy(record => Summing.NameOf(record.Key, record.Time, size)).ToDictionary(name => name.Key, name => Aggregators.Model(AggregatorKind.Aggregate, name));
        _changelogs.Add(new(processed.Child(Summing.Told), new Changelog(final), KeepsKey: false, from.Place));
    }

    private void AddSplit(WovenStream from, Step step)
    {
        var (first, second) = (step.A, step.B);
        var branches = from.Stream.Split()
            .Branch("one", (key, value) => Functions.IsKept(key, value, first))
            .Branch("two", (key, value) => Functions.IsKept(key, value, second))
            .DefaultBranch("rest");
        var rest = from.Exact.Records.Where(record => !Functions.IsKept(record.Key, record.Value, first)).ToArray();
        Add(from, branches["rest"], rest.Where(record => !Functions.IsKept(record.Key, record.Value, second)), from.Exact.IsOrdered, from.KeepsKey);
        Add(from, branches["two"], rest.Where(record => Functions.IsKept(record.Key, record.Value, second)), from.Exact.IsOrdered, from.KeepsKey);
        Add(from, branches["one"], from.Exact.Records.Where(record => Functions.IsKept(record.Key, record.Value, first)), from.Exact.IsOrdered, from.KeepsKey);
    }
}
