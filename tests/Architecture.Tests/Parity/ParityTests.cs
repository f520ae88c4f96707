using System.Collections.Immutable;

namespace OrleansStreams.Architecture.Parity;

/// <summary>The embedded host has the official signatures: grain code that runs here compiles and means the same there.</summary>
public sealed class ParityTests
{
    private const string Serialization = "at home in Orleans.Serialization.Abstractions, which the registry lacks";
    private const string Runtime = "at home in Orleans.Runtime, which the registry lacks";

    private static readonly Dictionary<string, string> s_elsewhere = new()
    {
        ["Orleans.GenerateSerializerAttribute"] = Serialization,
        ["Orleans.IdAttribute"] = Serialization,
        ["Orleans.AliasAttribute"] = Serialization,
        ["Orleans.ImmutableAttribute"] = Serialization,
        ["Orleans.ResponseTimeoutAttribute"] = Serialization,
        ["Orleans.Runtime.IPersistentState`1"] = Runtime,
        ["Orleans.Runtime.PersistentStateAttribute"] = Runtime,
        ["Orleans.Storage.InconsistentStateException"] = "at home in Orleans.Core, which the registry lacks",
    };

    [Fact]
    public void Everything_public_in_the_embedded_api_is_in_the_official_assembly_with_the_same_signature()
    {
        ImmutableSortedDictionary<string, ApiType> ours = PublicApi.Read(BuildFacts.Embedded.Location);
        ImmutableSortedDictionary<string, ApiType> theirs = PublicApi.Read(BuildFacts.OrleansCoreAbstractions);
        ours.Count.ShouldBeGreaterThan(20);
        theirs.Count.ShouldBeGreaterThan(200);
        Parity.Differences(ours, theirs, s_elsewhere).ShouldBeEmpty();
    }

    [Fact]
    public void Every_kind_of_difference_is_found()
    {
        ImmutableSortedDictionary<string, ApiType> wrong = PublicApi.Read(typeof(ParityTests).Assembly.Location, "ParityFixture.");
        ImmutableSortedDictionary<string, ApiType> theirs = PublicApi.Read(BuildFacts.OrleansCoreAbstractions);
        List<string> differences = Parity.Differences(
            wrong,
            theirs,
            new Dictionary<string, string> { ["Orleans.IGrainFactory"] = "wrongly listed", ["Orleans.Gone"] = "a stale entry" });
        string all = string.Join(Environment.NewLine, differences);
        all.ShouldContain("Orleans.IInvented: the official assembly has no such public type");
        all.ShouldContain("Orleans.Runtime.IGrainTimer: officially has no Public, Virtual Void Change(System.TimeSpan dueTime)");
        all.ShouldContain("Orleans.Runtime.IGrainTimer: officially has no Public, Virtual Void Pause()");
        all.ShouldContain("Orleans.DeactivationReasonCode: officially has no field Orleans.DeactivationReasonCode ShuttingDown = 9");
        all.ShouldContain("Orleans.Concurrency.ReentrantAttribute: is 'Abstract, Sealed : System.Object'");
        all.ShouldContain("Orleans.Concurrency.OneWayAttribute: is 'Sealed : System.Attribute usage");
        all.ShouldContain("Orleans.Runtime.IGrainTimer: officially does not implement System.ICloneable");
        all.ShouldContain("Orleans.IGrainFactory: said to be at home elsewhere");
        all.ShouldContain("Orleans.Gone: in the list");
        differences.Count.ShouldBe(9, all);
    }
}
