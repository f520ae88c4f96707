using Orleans;

namespace OrleansStreams.Cluster.Failover;

/// <summary>The first notice of a killed silo: its gateway's connection is closed by the operating system.</summary>
internal sealed class LostConnections(CallsUnderWay calls) : IClusterConnectionStatusObserver
{
    public void NotifyGatewayCountChanged(int currentNumberOfGateways, int previousNumberOfGateways, bool connectionRecovered)
    {
        if (currentNumberOfGateways < previousNumberOfGateways)
        {
            calls.SiloLost();
        }
    }

    public void NotifyClusterConnectionLost() => calls.SiloLost();
}
