using Orleans.Messaging;

namespace OrleansStreams.Cluster.Failover;

/// <summary>
/// The list of living silos, as Orleans reads it every refresh period: one that was there and is not any more was declared dead or has left. That is the only
/// notice of a silo that hangs, and of one whose gateway this client has no connection to. A silo that was started again has another generation in its address.
/// </summary>
internal sealed class WatchedGateways(IGatewayListProvider gateways, CallsUnderWay calls) : IGatewayListProvider
{
    private HashSet<Uri> known = [];

    public TimeSpan MaxStaleness => gateways.MaxStaleness;

    public bool IsUpdatable => true;

    public Task InitializeGatewayListProvider() => gateways.InitializeGatewayListProvider();

    public async Task<IList<Uri>> GetGateways()
    {
        var listed = await gateways.GetGateways();
        var before = Interlocked.Exchange(ref known, [.. listed]);
        if (!before.IsSubsetOf(listed))
        {
            calls.SiloLost();
        }

        return listed;
    }
}
