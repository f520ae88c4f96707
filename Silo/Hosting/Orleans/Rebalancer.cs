using System.Collections.Immutable;
using OrleansStreams.Silo.Hosting.Placement;

namespace OrleansStreams.Silo.Hosting.Orleans;

/// <summary>
/// Keeps partitions, tasks and groups evenly spread: the silo of the smallest address looks every few seconds, and has the surplus moved. Two silos that both
/// take themselves for the first, or none for a while, do no harm: a move is safe at any time, and no more than a short wait for who uses the grain.
/// </summary>
internal sealed class Rebalancer(
    SiloSettings settings, ILocalSiloDetails self, LeavingSilos cluster, PlacementServices silos, TimeProvider time, ILogger<Rebalancer> logger) : BackgroundService
{
    // So many at a time: each is away for some milliseconds, and its log is opened anew by one database.
    private const int MovesAtOnce = 64;

    private SiloAddress[] known = [];
    private bool wasUneven;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (settings.Cluster.RebalanceInterval <= TimeSpan.Zero)
        {
            return;
        }

        try
        {
            using var timer = new PeriodicTimer(settings.Cluster.RebalanceInterval, time);
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                await LookAsync(stoppingToken);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The silo stops.
        }
    }

    private async Task LookAsync(CancellationToken stopping)
    {
        // A silo that has just come or gone: what its grains are doing isn't known yet, and one restart after the other must not move everything back and forth.
        var active = cluster.Active();
        var isSettled = active.SequenceEqual(known);
        known = active;
        if (!isSettled || active.Length < 2 || !active[0].Equals(self.SiloAddress))
        {
            wasUneven = false;
            return;
        }

        try
        {
            var plan = await PlanAsync(active);

            // Once is no reason: grains come and go, and what was placed a moment ago may not be counted everywhere.
            var isUneven = plan.Count > 0;
            (wasUneven, isUneven) = (isUneven && !wasUneven, isUneven && wasUneven);
            while (isUneven)
            {
                var started = time.GetTimestamp();
                var moved = await MoveAsync(plan, active);
                RebalancerLog.Moved(logger, moved, plan.Count, active.Length, (long)time.GetElapsedTime(started).TotalMilliseconds);
                stopping.ThrowIfCancellationRequested();
                isUneven = moved > 0 && plan.Count > MovesAtOnce && active.SequenceEqual(cluster.Active()) && (plan = await PlanAsync(active)).Count > 0;
            }
        }
        catch (Exception error) when (error is not OperationCanceledException || !stopping.IsCancellationRequested)
        {
            // A silo that doesn't answer is about to be declared dead, or is of another version: the next look finds out.
            RebalancerLog.Failed(logger, error.Message);
        }
    }

    private async Task<List<GrainMove>> PlanAsync(SiloAddress[] active)
    {
        if (cluster.Any)
        {
            return [];
        }

        var lists = await Task.WhenAll(active.Select(silo => silos[silo].ListAsync()));
        return SpreadPlan.Of(Placed(lists), active.Length);
    }

    private async Task<int> MoveAsync(List<GrainMove> plan, SiloAddress[] active)
    {
        var calls = plan.Take(MovesAtOnce).GroupBy(move => (move.Grain.Silo, move.To))
            .Select(moves => silos[active[moves.Key.Silo]].MoveAsync([.. moves.Select(move => IdOf(move.Grain))], active[moves.Key.To]));
        return (await Task.WhenAll(calls)).Sum();
    }

    /// <summary>What silos have said that they hold. A grain on its way is told by two; it is where it goes to.</summary>
    internal static IEnumerable<PlacedGrain> Placed(IReadOnlyList<ImmutableArray<GrainId>> lists) => lists
        .SelectMany((grains, silo) => grains.Select(grain => new PlacedGrain(grain.Type.ToString()!, grain.Key.ToString()!, silo))).DistinctBy(grain => (grain.Kind, grain.Key));

    internal static GrainId IdOf(PlacedGrain grain) => GrainId.Create(grain.Kind, grain.Key);
}

/// <summary>What is told of moves.</summary>
internal static partial class RebalancerLog
{
    [LoggerMessage(11, LogLevel.Information, "Spread partitions, tasks and groups over {Silos} silos: {Moved} of {Planned} moved in {Milliseconds} ms")]
    public static partial void Moved(ILogger logger, int moved, int planned, int silos, long milliseconds);

    [LoggerMessage(12, LogLevel.Warning, "Partitions, tasks and groups could not be spread, which is tried again: {Reason}")]
    public static partial void Failed(ILogger logger, string reason);

    [LoggerMessage(13, LogLevel.Information, "Handed {Moved} of {All} grains to {Silos} other silos in {Milliseconds} ms")]
    public static partial void Drained(ILogger logger, int moved, int all, int silos, long milliseconds);

    [LoggerMessage(14, LogLevel.Warning, "The grains of this silo could not be handed over, and open elsewhere when they are asked for: {Reason}")]
    public static partial void DrainFailed(ILogger logger, string reason);
}
