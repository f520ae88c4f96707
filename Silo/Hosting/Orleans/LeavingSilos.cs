using System.Collections.Immutable;

namespace OrleansStreams.Silo.Hosting.Orleans;

/// <summary>
/// Silos that have said that they leave. Orleans calls a silo active until its last grain is gone, and would go on placing grains there meanwhile.
/// </summary>
internal sealed class LeavingSilos(IClusterMembershipService membership)
{
    private ImmutableHashSet<SiloAddress> silos = [];

    /// <summary>Whether one of the active silos is about to leave.</summary>
    public bool Any => Active().Any(silos.Contains);

    /// <summary>A silo has said it. It has an address of its own at its next start, so nothing is ever taken back.</summary>
    public void Add(SiloAddress silo)
    {
        // What has left is forgotten with the next one that leaves.
        var known = membership.CurrentSnapshot.Members;
        ImmutableInterlocked.Update(ref silos, now => now.Where(known.ContainsKey).ToImmutableHashSet().Add(silo));
    }

    /// <summary>Those of some silos that stay; all of them when none stays.</summary>
    public SiloAddress[] Without(SiloAddress[] some)
    {
        SiloAddress[] staying = [.. some.Where(silo => !silos.Contains(silo))];
        return staying.Length > 0 ? staying : [.. some];
    }

    /// <summary>The active silos in the order that all silos agree on.</summary>
    public SiloAddress[] Active() =>
        [.. membership.CurrentSnapshot.Members.Values.Where(member => member.Status == SiloStatus.Active).Select(member => member.SiloAddress).Order()];
}
