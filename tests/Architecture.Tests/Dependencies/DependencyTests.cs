using Orleans;
using OrleansStreams.Architecture.Dependencies.Fixture.Storage;

namespace OrleansStreams.Architecture.Dependencies;

public sealed class DependencyTests
{
    /// <summary>Classes in Grains that are no grains and mention Orleans all the same, with the reason.</summary>
    private static readonly Dictionary<string, string> s_mentionsOrleans = new()
    {
        ["OrleansStreams.Groups.GroupStateWriter"] = "joins a group grain's writes of its persistent state; part of the shell",
        ["OrleansStreams.Log.StateWriter"] = "joins a topic grain's writes of its persistent state; part of the shell",
        ["OrleansStreams.Log.UpkeepSweep"] = "the hosted service that wakes partitions once after silo start",
        ["OrleansStreams.Processing.ApplicationStarter"] = "the hosted service that wakes application grains at silo start",
        ["OrleansStreams.Processing.GrainTopics"] = "implements the task engine's port to topics by calls of grains",
        ["OrleansStreams.Processing.GrainUpstreamTasks"] = "implements the task engine's port to the tasks that copy global tables by calls of grains",
    };

    [Fact]
    public void Projects_reference_only_what_the_design_allows()
    {
        ProjectReferences.Files(BuildFacts.RepositoryRoot).Count().ShouldBeGreaterThan(2);
        ProjectReferences.Broken(BuildFacts.RepositoryRoot, ProjectReferences.Allowed).ShouldBeEmpty();
    }

    [Fact]
    public void A_reference_or_a_project_that_is_not_allowed_is_found()
    {
        Dictionary<string, string[]> strict = new(ProjectReferences.Allowed) { ["Grains"] = [] };
        strict.Remove("EmbeddedOrleans");
        List<string> broken = ProjectReferences.Broken(BuildFacts.RepositoryRoot, strict);
        broken.ShouldContain("Grains must not reference Grains.Interfaces");
        broken.ShouldContain("EmbeddedOrleans: add it to the list of what product projects may reference");
        broken.Count.ShouldBe(2);
    }

    [Fact]
    public void Storage_mentions_no_grain() =>
        DependencyRules.StorageKnowsNoGrains(BuildFacts.Grains.GetTypes(), "OrleansStreams.Storage").ShouldBeEmpty();

    [Fact]
    public void Engines_mention_no_orleans() => DependencyRules.OnlyGrainsKnowOrleans(BuildFacts.Grains.GetTypes(), s_mentionsOrleans).ShouldBeEmpty();

    [Fact]
    public void The_list_of_classes_that_may_mention_orleans_is_not_stale() =>
        s_mentionsOrleans.Keys.Where(name => BuildFacts.Grains.GetType(name) is null).ShouldBeEmpty();

    [Fact]
    public void A_grain_in_storages_code_is_found_wherever_it_hides()
    {
        Type[] types = typeof(LeakingStorage).Assembly.GetTypes();
        List<string> broken = DependencyRules.StorageKnowsNoGrains(types, typeof(LeakingStorage).Namespace!);
        broken.ShouldBe([$"{typeof(LeakingStorage).FullName} mentions the grain type {typeof(Fixture.ILeakGrain).FullName}"]);
    }

    [Fact]
    public void Orleans_in_an_engines_code_is_found_but_not_in_a_grains()
    {
        Type[] types = typeof(LeakingStorage).Assembly.GetTypes().Where(t => t.Namespace == typeof(Fixture.LeakingEngine).Namespace).ToArray();
        List<string> broken = DependencyRules.OnlyGrainsKnowOrleans(types, new Dictionary<string, string>());
        broken.ShouldContain($"{typeof(Fixture.LeakingEngine).FullName} mentions {typeof(IGrainFactory).FullName}");
        broken.ShouldNotContain(b => b.StartsWith(typeof(Fixture.ShellGrain).FullName!, StringComparison.Ordinal));
        broken.ShouldNotContain(b => b.StartsWith(typeof(Fixture.CleanEngine).FullName!, StringComparison.Ordinal));
        DependencyRules.OnlyGrainsKnowOrleans(types, new Dictionary<string, string> { [typeof(Fixture.LeakingEngine).FullName!] = "a test" }).ShouldBeEmpty();
    }
}
