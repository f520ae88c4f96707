using System.Collections.Immutable;
using OrleansStreams.Log;
using OrleansStreams.Processing.State;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>What the application answers: its topology, and what its tasks have committed.</summary>
internal sealed partial class StreamApplicationGrain
{
    private const int QueryLimitMax = 10_000;

    private IApplicationDirectoryGrain Directory => GrainFactory.GetGrain<IApplicationDirectoryGrain>(IApplicationDirectoryGrain.Key);

    public async Task<TopologyText> GetTopologyAsync()
    {
        if (await ServedByAsync() is { } other)
        {
            return await other.GetTopologyAsync();
        }

        var topology = registry.Build(Name, new ApplicationParameters(stored.State.Parameters));
        return new TopologyText(topology.Describe(Name), topology.ToMermaid(Name)) { Stores = [.. topology.ResultStores] };
    }

    public async Task<StateQueryResult> QueryAsync(StateQuery query)
    {
        if (await ServedByAsync() is { } other)
        {
            return await other.QueryAsync(query);
        }

        CheckQuery(query.Store, query.FromMs, query.ToMs, query.Limit, query.AtLeast, query.WaitMs);
        var plan = await ServingPlanAsync();
        var (sub, partitions) = plan.PlaceOf(query.Store);
        var partition = KeyHash.PartitionFor(query.Key.Span, partitions);
        await ReflectAsync(plan, query.AtLeast, sub, partition, query.WaitMs);
        var answer = await TaskGrain(sub, partition).QueryAsync(query with { Continuation = PositionOf(query.Continuation) });
        var next = answer.Continuation.IsEmpty ? default(StorePosition?) : StorePosition.Read(answer.Continuation.Span);
        return answer with { Application = Name, Continuation = next is { } last ? StoreContinuation.Behind(Name, last.Key, last.Start, last.End) : default };
    }

    public async Task<StoreScanResult> ScanAsync(StoreScan scan)
    {
        if (await ServedByAsync() is { } other)
        {
            return await other.ScanAsync(scan);
        }

        CheckQuery(scan.Store, scan.FromMs, scan.ToMs, scan.Limit, scan.AtLeast, scan.WaitMs);
        if (!scan.ToKey.IsEmpty && scan.FromKey.Span.SequenceCompareTo(scan.ToKey.Span) > 0)
        {
            throw new StreamsException(StreamsErrorCode.InvalidRequest, $"The range of keys of store '{scan.Store}' ends before it begins: swap its bounds.");
        }

        scan = scan with { Continuation = PositionOf(scan.Continuation) };
        var plan = await ServingPlanAsync();
        var (sub, partitions) = plan.PlaceOf(scan.Store);
        await ReflectAsync(plan, scan.AtLeast, sub, partition: null, scan.WaitMs);
        var pages = await Task.WhenAll(Enumerable.Range(0, partitions).Select(partition => TaskGrain(sub, partition).ScanAsync(scan)));
        return Merge(pages, scan.Limit) with { Application = Name, KeySerde = pages[0].KeySerde, ValueSerde = pages[0].ValueSerde };
    }

    public async Task<StorePlace> LocateAsync(string store, ReadOnlyMemory<byte>? key)
    {
        if (await ServedByAsync() is { } other)
        {
            return await other.LocateAsync(store, key);
        }

        var (sub, partitions) = (await ServingPlanAsync()).PlaceOf(store);
        return new StorePlace(
            Name, [.. (key is { } only ? [KeyHash.PartitionFor(only.Span, partitions)] : Enumerable.Range(0, partitions)).Select(partition => ApplicationPlan.IdOf(sub, partition))]);
    }

    /// <summary>
    /// Merges the partitions' pages. Behind the end of a page that was cut, which need not be a row of it, its partition may have more: the merged page ends there at the latest.
    /// </summary>
    private StoreScanResult Merge(StoreScanResult[] pages, int limit)
    {
        var end = pages.Where(page => !page.Continuation.IsEmpty).Select(page => StorePosition.Read(page.Continuation.Span)).OrderBy(position => position).Cast<StorePosition?>().FirstOrDefault();
        var all = pages.SelectMany(page => page.Rows).Select(row => (Row: row, Position: StorePosition.Of(row))).OrderBy(row => row.Position).ToArray();
        var known = all.TakeWhile(row => end is not { } last || row.Position.CompareTo(last) <= 0).Take(limit).ToArray();
        var isCut = known.Length == limit && known.Length < all.Length;
        var next = isCut ? known[^1].Position : end;
        return new StoreScanResult(
            [.. known.Select(row => row.Row)],
            [.. pages.SelectMany(page => page.Partitions).OrderBy(view => view.Partition)],
            next is { } last ? StoreContinuation.Behind(Name, last.Key, last.Start, last.End) : default);
    }

    /// <summary>The position of a continuation; empty for none.</summary>
    /// <exception cref="StreamsException">InvalidRequest; ContinuationOutdated for that of another application.</exception>
    private ReadOnlyMemory<byte> PositionOf(ReadOnlyMemory<byte> continuation)
    {
        if (continuation.IsEmpty)
        {
            return default;
        }

        var (application, position) = StoreContinuation.Read(continuation);
        return application == Name ? position : throw new StreamsException(
            StreamsErrorCode.ContinuationOutdated, $"The page before was answered by application '{application}', this one would be by '{Name}', whose rows are others: begin again, without a continuation.");
    }

    private static void CheckQuery(string store, long fromMs, long toMs, int limit, ImmutableArray<InputOffset> atLeast, int waitMs)
    {
        if (limit is < 1 or > QueryLimitMax || fromMs > toMs || string.IsNullOrEmpty(store))
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidRequest, $"The query of store '{store}' from {fromMs} to {toMs} with limit {limit} cannot be answered: name a store, a range that does not end before it begins, and a limit of 1 to {QueryLimitMax}.");
        }

        if (!atLeast.IsDefaultOrEmpty && waitMs is < 1 or > StateQuery.WaitMsMax)
        {
            throw new StreamsException(StreamsErrorCode.InvalidRequest, $"A query cannot wait {waitMs} ms for the records that it must reflect: let it wait 1 to {StateQuery.WaitMsMax} ms.");
        }
    }

    /// <exception cref="StreamsException">ApplicationNotFound; InvalidRequest for an alias, which only queries take.</exception>
    private async Task CheckIsApplicationAsync()
    {
        if (!registry.Knows(Name) && await Directory.ResolveAsync(Name) is { } application)
        {
            throw Refused($"'{Name}' is no application but an alias, under which '{application}' is queried: name '{application}'.");
        }

        registry.Check(Name);
    }

    /// <summary>
    /// The application that an alias stands for; null when this grain is an application itself. Asked anew for every query, in one place for all clients: a switch holds for every query
    /// that comes after it.
    /// </summary>
    /// <exception cref="StreamsException">ApplicationNotFound when the name is neither.</exception>
    private async Task<IStreamApplicationGrain?> ServedByAsync()
    {
        if (!registry.Knows(Name) && await Directory.ResolveAsync(Name) is { } application)
        {
            return GrainFactory.GetGrain<IStreamApplicationGrain>(application);
        }

        registry.Check(Name);
        return null;
    }

    /// <exception cref="StreamsException">InvalidRequest when an alias stands for the application.</exception>
    private async Task CheckNotServingAsync()
    {
        var aliases = (await Directory.AliasesOfAsync(Name)).Select(alias => $"'{alias}'").ToArray();
        if (aliases.Length > 0)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidRequest, $"Application '{Name}' is what {string.Join(", ", aliases)} stands for: switch that to another application, or remove it, before this one is dropped.", WriteOutcome.NotWritten);
        }
    }

    private async Task<ApplicationPlan> ServingPlanAsync()
    {
        if (!stored.State.IsRunning)
        {
            var why = stored.State.WasStarted ? "is stopped: start it again, its state is kept" : "was never started: start it first";
            throw new StreamsException(StreamsErrorCode.ApplicationNotRunning, $"Application '{Name}' {why}.");
        }

        if (_refused is not null)
        {
            throw _refused;
        }

        return _plan ?? await PlanAsync(stored.State.Parameters.ToImmutableDictionary());
    }

    /// <summary>
    /// Waits until records are reflected by a store: the task that reads a record has committed it and delivered its results; then, topic by topic on the way to the store, the tasks behind it
    /// have committed all that was in their inputs by then.
    /// </summary>
    private async Task ReflectAsync(ApplicationPlan plan, ImmutableArray<InputOffset> wanted, int store, int? partition, int waitMs)
    {
        if (wanted.IsDefaultOrEmpty)
        {
            return;
        }

        var inputs = plan.Inputs.ToDictionary(input => input.Topic, input => input.Partitions, StringComparer.Ordinal);
        foreach (var record in wanted)
        {
            if (!inputs.TryGetValue(record.Topic, out var partitions) || record.Partition < 0 || record.Partition >= partitions || record.Offset < 0)
            {
                throw new StreamsException(
                    StreamsErrorCode.InvalidRequest,
                    $"A query cannot wait for offset {record.Offset} of topic '{record.Topic}', partition {record.Partition}: application '{Name}' reads {string.Join(", ", inputs.Select(input => $"'{input.Key}' with {input.Value} partitions"))}.");
            }
        }

        var began = time.GetTimestamp();
        await FollowAsync(plan, wanted, store, partition, () => Math.Max(1, waitMs - (int)time.GetElapsedTime(began).TotalMilliseconds));
    }

    /// <summary>
    /// Follows records topic by topic: waits for all tasks that read them, then takes the ends of what those write for the next ones to wait for. A store may be on a circle (a join by
    /// a foreign key asks the other table and gets its answer back): as many rounds as there are topics are enough to come by every way, and an end that was seen before ends its own.
    /// </summary>
    private async Task FollowAsync(ApplicationPlan plan, ImmutableArray<InputOffset> wanted, int store, int? partition, Func<int> leftMs)
    {
        var isOnCircle = plan.FeedsItself(store);
        var seen = new HashSet<(int, InputOffset)>();
        var next = wanted;
        for (var round = plan.Inputs.Count(); round > 0 && !next.IsEmpty; round--)
        {
            var steps = next.SelectMany(record => plan.ReadersOf(record.Topic).Select(reader => (Reader: reader, Record: record)))
                .Where(step => plan.Reaches(step.Reader, store) && (step.Reader != store || isOnCircle || partition is null || partition == step.Record.Partition))
                .Where(seen.Add).ToArray();
            await Task.WhenAll(steps.Select(step => TaskGrain(step.Reader, step.Record.Partition).ReflectAsync(step.Record, leftMs())));
            var outputs = steps.Select(step => step.Reader).Distinct().Where(reader => reader != store || isOnCircle).SelectMany(plan.OutputsOf).Distinct()
                .Where(output => plan.ReadersOf(output.Topic).Any(reader => plan.Reaches(reader, store)));
            var ends = await Task.WhenAll(outputs.SelectMany(output => Enumerable.Range(0, output.Partitions).Select(at => LastOfAsync(new TopicPartition(output.Topic, at)))));
            next = [.. ends.OfType<InputOffset>()];
        }
    }

    /// <summary>The last record of a partition; null while it has none.</summary>
    private async Task<InputOffset?> LastOfAsync(TopicPartition partition)
    {
        var end = (await GrainFactory.GetGrain<IPartitionGrain>(partition.GrainKey).GetOffsetsAsync()).HighWatermark;
        return end > 0 ? new InputOffset(partition.Topic, partition.Partition, end - 1) : null;
    }

    private IStreamTaskGrain TaskGrain(int subTopology, int partition) => GrainFactory.GetGrain<IStreamTaskGrain>($"{Name}/{ApplicationPlan.IdOf(subTopology, partition)}");
}
