using Orleans;
using OrleansStreams.Log;

namespace OrleansStreams.Cluster.Failover;

/// <summary>Keeps track of the calls to this product's grains; those of other grains that the process calls through the same client are not ours to repeat.</summary>
internal sealed class GivingUpFilter(CallsUnderWay calls) : IOutgoingGrainCallFilter
{
    public Task Invoke(IOutgoingGrainCallContext context) =>
        context.InterfaceMethod.DeclaringType?.Assembly == typeof(IPartitionGrain).Assembly ? calls.RunAsync(context.Invoke) : context.Invoke();
}
