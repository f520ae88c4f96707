using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.RandomTopologies;

/// <summary>
/// Windows. What they hold is the same for any interleaving, and so are final results. Results before the final ones are not: of windows that are emitted on update or at
/// intervals the last result of each is compared, and that a session is deleted under its old bounds only when it was told under them.
/// </summary>
internal sealed partial class Weave
{
    private void AddWindows(Step step)
    {
        if (Stream(step.On) is not { } from)
        {
            return;
        }

        var isTimed = step.Kind is StepKind.Tumbling or StepKind.Hopping;
        var kind = Aggregators.Of(step.C / 3, from.Exact.IsOrdered && isTimed);
        var windows = WindowsOf(step, [.. from.Exact.Records.Where(record => kind != AggregatorKind.Reduce || record.Value is not null)]).ToArray();
        if (windows.Length > RecordsMax)
        {
            return;
        }

        // The reducer's first value would be the aggregate, which cannot be null.
        var stream = kind == AggregatorKind.Reduce ? from.Stream.Filter((_, value) => value is not null) : from.Stream;
        var place = PlaceByKey(from);
        from.IsUsed = true;
        var results = Described(stream.GroupByKey(s_grouped.WithName(Next("grouped"))), step, kind);
        if (step.C % 3 != 0)
        {
            var final = windows.ToDictionary(window => window.Name, window => Aggregators.Model(kind, window.Records));
            _changelogs.Add(new(results.Map((window, value) => (NameOf(window), value)), new Changelog(final), KeepsKey: false, place));
            return;
        }

        // A key's windows are told in the order of their ends, by the one task that has the key; under names of their own they have no order to keep.
        var isNamed = step.C / 12 % 2 == 0;
        var named = isNamed ? results.Map((window, value) => (NameOf(window), value)) : results.Map((window, value) => (window.Key, Functions.Short($"{window.WindowStartMs}:{value}")));
        var records = windows.OrderBy(window => window.End).Select(window => (Window: window, Value: Aggregators.Model(kind, window.Records))).Select(result => isNamed
            ? new ModelRecord(result.Window.Name, result.Value, result.Window.End - 1)
            : new ModelRecord(result.Window.Key, Functions.Short($"{result.Window.Start}:{result.Value}"), result.Window.End - 1));
        _streams.Add(new(named, new Exact([.. records], IsOrdered: true), KeepsKey: false, place) { IsHeld = from.IsHeld });
    }

    /// <summary>Windows over two streams together.</summary>
    private void AddCogroupedWindows(Step step)
    {
        if (Stream(step.On) is not { } from)
        {
            return;
        }

        var (other, kind) = (Stream(step.With)!, (StepKind)((int)StepKind.Tumbling + (step.C % 3)));
        var windows = WindowsOf(step with { Kind = kind }, [.. BothOf(from, other).Where(record => record.Value is not null)]).OrderBy(window => window.End).ToArray();
        if (windows.Length > RecordsMax)
        {
            return;
        }

        (other, var place) = Met(from, other);
        var cogrouped = Cogrouped(from, other);
        var (size, grace, store) = (Ms(SizeOf(step)), GraceOf(step), Kept());
        var results = kind switch
        {
            StepKind.Tumbling => cogrouped.WindowedBy(TumblingWindows.Of(size).Grace(grace)).Aggregate(() => "0", store),
            StepKind.Hopping => cogrouped.WindowedBy(HoppingWindows.Of(size, Ms(AdvanceOf(step))).Grace(grace)).Aggregate(() => "0", store),
            _ => cogrouped.WindowedBy(SessionWindows.With(size).Grace(grace)).Aggregate(() => "0", (_, one, two) => Functions.AddSums(one, two), store),
        };
        var records = windows.Select(window => new ModelRecord(window.Name, Aggregators.Model(AggregatorKind.Aggregate, window.Records), window.End - 1));
        _streams.Add(new(results.Map((window, value) => (NameOf(window), value)), new Exact([.. records], IsOrdered: true), KeepsKey: false, place) { IsHeld = from.IsHeld && other.IsHeld });
    }

    private static string NameOf(Windowed<string> window) => new ModelWindow(window.Key, window.WindowStartMs, window.WindowEndMs, []).Name;

    private static long SizeOf(Step step) => 1 + (step.A % 25);

    private static long AdvanceOf(Step step) => 1 + (step.B % SizeOf(step));

    private static TimeSpan GraceOf(Step step) => Ms(step.B / 30 % 15);

    private static IEnumerable<ModelWindow> WindowsOf(Step step, IReadOnlyList<ModelRecord> records) => step.Kind switch
    {
        StepKind.Tumbling => Models.Hopping(records, SizeOf(step), SizeOf(step)),
        StepKind.Hopping => Models.Hopping(records, SizeOf(step), AdvanceOf(step)),
        StepKind.Session => Models.Sessions(records, SizeOf(step)),
        _ => Models.Sliding(records, SizeOf(step) - 1),
    };

    private KStream<Windowed<string>, string> Described(KGroupedStream<string, string> grouped, Step step, AggregatorKind kind)
    {
        var (size, grace, every) = (Ms(SizeOf(step)), GraceOf(step), Ms(1 + (step.C / 72)));
        var (emit, store, retention) = (step.C % 3, Next("window"), _world.Next(3) * 40);

        // To hold back what is told before the final result is another way to the same.
        var isSuppressed = emit == 0 && _world.Next(4) == 0;
        emit = isSuppressed ? 1 : emit;
        switch (step.Kind)
        {
            case StepKind.Tumbling or StepKind.Hopping:
                var timed = step.Kind == StepKind.Tumbling
                    ? grouped.WindowedBy(TumblingWindows.Of(size).Grace(grace))
                    : grouped.WindowedBy(HoppingWindows.Of(size, Ms(AdvanceOf(step))).Grace(grace));
                return Aggregators.Windows(kind, emit == 0 ? timed.EmitOnClose() : emit == 1 ? timed.EmitOnUpdate() : timed.EmitEvery(every), store, retention, isSuppressed);
            case StepKind.Session:
                var sessions = grouped.WindowedBy(SessionWindows.With(size).Grace(grace));
                return Aggregators.Windows(kind, emit == 0 ? sessions.EmitOnClose() : emit == 1 ? sessions.EmitOnUpdate() : sessions.EmitEvery(every), store, retention, isSuppressed);
            default:
                var sliding = grouped.WindowedBy(SlidingWindows.Of(Ms(SizeOf(step) - 1)).Grace(grace));
                return Aggregators.Windows(kind, emit == 0 ? sliding.EmitOnClose() : emit == 1 ? sliding.EmitOnUpdate() : sliding.EmitEvery(every), store, retention, isSuppressed);
        }
    }
}
