using System.Text;
using OrleansStreams.Records;

namespace OrleansStreams.Streaming;

/// <summary>
/// Spreads queues over the active silos: none has more than its share, rounded up, every silo finds the same answer from the membership by itself, and when
/// one comes or goes few queues move that need not. Rendezvous hashing (Thaler and Ravishankar, 1998) with a bound on the load of each silo.
/// </summary>
internal sealed class EvenQueueBalancer(IServiceProvider services, ILogger logger) : QueueBalancerBase(services, logger), IStreamQueueBalancer
{
    private readonly IClusterMembershipService _membership = services.GetRequiredService<IClusterMembershipService>();
    private QueueId[] _queues = [];
    private volatile QueueId[] _mine = [];

    public static IStreamQueueBalancer Create(IServiceProvider services, string name) =>
        new EvenQueueBalancer(services, services.GetRequiredService<ILoggerFactory>().CreateLogger<EvenQueueBalancer>());

    /// <inheritdoc/>
    public override Task Initialize(IStreamQueueMapper queueMapper)
    {
        _queues = [.. queueMapper.GetAllQueues()];
        Assign([.. _membership.CurrentSnapshot.Members.Values.Where(member => member.Status == SiloStatus.Active).Select(member => member.SiloAddress)]);
        return base.Initialize(queueMapper);
    }

    /// <inheritdoc/>
    public override IEnumerable<QueueId> GetMyQueues() => _mine;

    /// <summary>Which silo has which queue.</summary>
    internal static Dictionary<QueueId, string> Spread(IEnumerable<QueueId> queues, IReadOnlyCollection<string> silos)
    {
        var owners = new Dictionary<QueueId, string>();
        if (silos.Count == 0)
        {
            return owners;
        }

        var ordered = queues.Order().ToList();
        var most = (ordered.Count + silos.Count - 1) / silos.Count;
        var loads = silos.ToDictionary(silo => silo, _ => 0, StringComparer.Ordinal);
        foreach (var queue in ordered)
        {
            var owner = loads.Where(silo => silo.Value < most).Select(silo => silo.Key).OrderByDescending(silo => Weight(queue, silo)).ThenBy(silo => silo, StringComparer.Ordinal).First();
            loads[owner]++;
            owners.Add(queue, owner);
        }

        return owners;
    }

    /// <inheritdoc/>
    protected override void OnClusterMembershipChange(HashSet<SiloAddress> activeSilos)
    {
        Assign(activeSilos);
        _ = NotifyAsync();
    }

    private static uint Weight(QueueId queue, string silo) => (uint)KeyHash.Murmur2(Encoding.UTF8.GetBytes($"{queue}|{silo}"));

    private void Assign(IReadOnlyCollection<SiloAddress> active)
    {
        var me = SiloAddress.ToParsableString();
        var owners = Spread(_queues, [.. active.Select(silo => silo.ToParsableString())]);
        _mine = [.. _queues.Where(queue => owners.TryGetValue(queue, out var owner) && owner == me)];
    }

    private async Task NotifyAsync()
    {
        try
        {
            await NotifyListeners();
        }
        catch (Exception error)
        {
            Logger.BalanceFailed(error);
        }
    }
}
