using System.Collections.Immutable;
using OrleansStreams.Silo.Hosting.Placement;

namespace OrleansStreams.Silo.Hosting.Orleans;

/// <summary>
/// A graceful stop, before anything else of the host stops: this silo says that it leaves, hands its grains to the others, and only then closes its HTTP
/// connections and leaves the cluster. Nobody waits for a timeout: requests that only wait are answered, those that come meanwhile go on to the new silo.
/// </summary>
internal sealed class SiloDrain(
    ILocalSiloDetails self, LeavingSilos cluster, LocalActivations activations, PlacementServices silos, IGrainFactory grains, TimeProvider time, ILogger<SiloDrain> logger)
    : IHostedLifecycleService, ILifecycleParticipant<ISiloLifecycle>
{
    // A silo that doesn't answer by now isn't waited for: it is probed, and will be told dead.
    private static readonly TimeSpan AnswerMax = TimeSpan.FromSeconds(1);

    // The answers to the polls of clients that are connected to this silo are on their way through it.
    private static readonly TimeSpan AnswersOnTheirWay = TimeSpan.FromMilliseconds(100);

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        try
        {
            var others = Others();
            if (others.Length == 0)
            {
                activations.EndLongPolls();
                return;
            }

            var started = time.GetTimestamp();
            cluster.Add(self.SiloAddress);
            var (moved, all) = await HandOverAsync(others, cancellationToken);
            RebalancerLog.Drained(logger, moved, all, others.Length, (long)time.GetElapsedTime(started).TotalMilliseconds);
        }
        catch (Exception error)
        {
            // The stop goes on: what is left is deactivated by Orleans, and opens elsewhere with the next request.
            RebalancerLog.DrainFailed(logger, error.Message);
        }
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>
    /// By then Orleans has told the clients that are connected here to send elsewhere. What they have under way comes back through this silo or, once it is gone, not
    /// at all, and they would notice by their timeouts only; most of it are long polls.
    /// </summary>
    public void Participate(ISiloLifecycle observer) => observer.Subscribe(nameof(SiloDrain), ServiceLifecycleStage.GrainDeactivation, _ => Task.CompletedTask, EndLongPollsAsync);

    private async Task<(int Moved, int All)> HandOverAsync(SiloAddress[] others, CancellationToken cancellation)
    {
        var lists = await Task.WhenAll(others.Select(silo => ListAsync(silo, cancellation)));
        SiloAddress[] staying = [.. others.Where((_, i) => lists[i] is not null)];
        var local = activations.All.Select(id => new PlacedGrain(id.Type.ToString()!, id.Key.ToString()!, SpreadPlan.Leaving)).DistinctBy(grain => (grain.Kind, grain.Key)).ToArray();
        var elsewhere = Rebalancer.Placed([.. lists.Where(list => list is not null).Select(list => list!.Value)]);
        var targets = SpreadPlan.Of(local.Concat(elsewhere).DistinctBy(grain => (grain.Kind, grain.Key)), staying.Length)
            .Where(move => move.Grain.Silo == SpreadPlan.Leaving).ToDictionary(move => Rebalancer.IdOf(move.Grain), move => staying[move.To]);
        return (await activations.MoveAsync(targets, grains).WaitAsync(cancellation), targets.Count);
    }

    private async Task<ImmutableArray<GrainId>?> ListAsync(SiloAddress silo, CancellationToken cancellation)
    {
        try
        {
            return await silos[silo].LeavingAsync(self.SiloAddress).WaitAsync(AnswerMax, time, cancellation);
        }
        catch (Exception error) when (error is TimeoutException or OrleansException)
        {
            return null;
        }
    }

    private async Task EndLongPollsAsync(CancellationToken cancellation)
    {
        try
        {
            activations.EndLongPolls();
            var others = Others();
            if (others.Length > 0)
            {
                await Task.WhenAll(others.Select(silo => silos[silo].EndLongPollsAsync())).WaitAsync(AnswerMax, time, cancellation);
                await Task.Delay(AnswersOnTheirWay, time, cancellation);
            }
        }
        catch (Exception error) when (error is TimeoutException or OrleansException or OperationCanceledException)
        {
            // Then its clients wait for their timeouts.
        }
    }

    private SiloAddress[] Others() => [.. cluster.Active().Where(silo => !silo.Equals(self.SiloAddress))];
}
