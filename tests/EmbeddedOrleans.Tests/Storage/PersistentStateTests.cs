using EmbeddedOrleans.Storage;
using EmbeddedOrleans.Tests.Fixture;
using Orleans;
using Orleans.Runtime;
using Orleans.Storage;

namespace EmbeddedOrleans.Tests.Storage;

public sealed class PersistentStateTests
{
    [Fact]
    public void State_outlives_its_activation_and_is_there_in_on_activate()
    {
        using var cluster = new TestCluster();
        cluster.Result(Grain(cluster).Add("a")).ShouldBe("1: a");
        cluster.Result(Grain(cluster).Add("b")).ShouldBe("2: a b");
        cluster.Done(Grain(cluster).End());
        cluster.Result(Grain(cluster).Show()).ShouldBe("2: a b");
        cluster.Journal.Entries.ShouldBe(["activated with 0", "activated with 2"]);
    }

    [Fact]
    public void State_survives_a_crash_as_of_the_last_write()
    {
        using var cluster = new TestCluster(silos: 2);
        cluster.Result(Grain(cluster).Add("a"));
        cluster.Done(Grain(cluster).AddWithoutWriting("lost"));
        cluster.Result(Grain(cluster).Show()).ShouldBe("1: a lost");
        string silo = cluster.Result(Grain(cluster).Silo());
        cluster.Cluster.CrashSilo(cluster.Cluster.Silos.Single(s => s.Name == silo));
        cluster.Result(Grain(cluster).Show()).ShouldBe("1: a");
    }

    [Fact]
    public void What_is_changed_after_a_write_does_not_reach_storage()
    {
        using var cluster = new TestCluster();
        cluster.Result(Grain(cluster).Add("a"));
        cluster.Done(Grain(cluster).AddWithoutWriting("aliased"));
        cluster.Done(Grain(cluster).Reload());
        cluster.Result(Grain(cluster).Show()).ShouldBe("1: a");
    }

    [Fact]
    public void A_cleared_state_is_empty_and_can_be_written_again()
    {
        using var cluster = new TestCluster();
        cluster.Result(Grain(cluster).Add("a"));
        cluster.Done(Grain(cluster).Clear());
        cluster.Result(Grain(cluster).Show()).ShouldBe("0: ");
        cluster.Result(Grain(cluster).Add("b")).ShouldBe("1: b");
    }

    [Fact]
    public void Two_states_of_one_grain_and_equal_keys_of_two_grain_types_stay_apart()
    {
        using var cluster = new TestCluster();
        cluster.Result(Grain(cluster).Add("a"));
        cluster.Result(Grain(cluster).Second("s")).ShouldBe("s");
        cluster.Result(Grain(cluster).Show()).ShouldBe("1: a");
    }

    [Fact]
    public void A_writer_with_a_stale_copy_is_refused_and_its_activation_ends()
    {
        var store = new MemoryGrainStateStore();
        using var cluster = new TestCluster(configure: o => o.AddGrainStorage("shared", store));
        using var rival = new TestCluster(configure: o => o.AddGrainStorage("shared", store));
        cluster.Result(Shared(cluster).Add("a"));
        rival.Result(Shared(rival).Add("b")).ShouldBe("2: a b");
        cluster.Fails<InconsistentStateException>(Shared(cluster).Add("c"));
        cluster.Cluster.Silos[0].ActivationCount.ShouldBe(0);
        cluster.Result(Shared(cluster).Add("c")).ShouldBe("3: a b c");
    }

    [Fact]
    public void An_unknown_provider_is_named_in_the_error()
    {
        using var cluster = new TestCluster();
        cluster.Fails<InvalidOperationException>(Shared(cluster).Show()).Message.ShouldContain("'shared'");
    }

    [Fact]
    public async Task Files_keep_state_over_a_restart_of_the_whole_host()
    {
        string directory = Path.Combine(Path.GetTempPath(), $"grain-state-{Guid.NewGuid():N}");
        try
        {
            for (int run = 1; run <= 3; run++)
            {
                await using EmbeddedCluster cluster = EmbeddedCluster.Create(new EmbeddedClusterOptions()
                    .AddGrainAssembly(typeof(PersistentStateTests).Assembly)
                    .AddFileGrainStorage("shared", directory)
                    .ConfigureServices(s => Microsoft.Extensions.DependencyInjection.ServiceCollectionServiceExtensions.AddSingleton(s, new Journal())));
                cluster.AddSilo();
                ISharedListGrain grain = cluster.GrainFactory.GetGrain<ISharedListGrain>("Key/with:odd chars");
                string expected = $"{run}: {string.Join(' ', Enumerable.Range(1, run).Select(i => $"r{i}"))}";
                (await grain.Add($"r{run}").WaitAsync(TimeSpan.FromSeconds(30))).ShouldBe(expected);
            }

            string file = Directory.GetFiles(directory, "*.json", SearchOption.AllDirectories).Single();
            await File.WriteAllTextAsync(file, "rubbish");
            await using EmbeddedCluster broken = EmbeddedCluster.Create(new EmbeddedClusterOptions()
                .AddGrainAssembly(typeof(PersistentStateTests).Assembly)
                .AddFileGrainStorage("shared", directory)
                .ConfigureServices(s => Microsoft.Extensions.DependencyInjection.ServiceCollectionServiceExtensions.AddSingleton(s, new Journal())));
            broken.AddSilo();
            GrainStateCorruptException corrupt = await Should.ThrowAsync<GrainStateCorruptException>(
                () => broken.GrainFactory.GetGrain<ISharedListGrain>("Key/with:odd chars").Show().WaitAsync(TimeSpan.FromSeconds(30)));
            corrupt.Message.ShouldContain(file);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static IListGrain Grain(TestCluster cluster) => cluster.Cluster.GrainFactory.GetGrain<IListGrain>("l");

    private static ISharedListGrain Shared(TestCluster cluster) => cluster.Cluster.GrainFactory.GetGrain<ISharedListGrain>("l");
}

internal sealed class ListState
{
    public int Writes { get; set; }

    public List<string> Items { get; set; } = [];

    public override string ToString() => $"{Writes}: {string.Join(' ', Items)}";
}

internal interface ISharedListGrain : IGrainWithStringKey
{
    Task<string> Add(string item);

    Task<string> Show();
}

internal interface IListGrain : ISharedListGrain
{
    Task AddWithoutWriting(string item);

    Task Reload();

    Task Clear();

    Task End();

    Task<string> Second(string item);

    Task<string> Silo();
}

internal sealed class SharedListGrain([PersistentState("list", "shared")] IPersistentState<ListState> list) : Grain, ISharedListGrain
{
    public async Task<string> Add(string item)
    {
        list.State.Items.Add(item);
        list.State.Writes++;
        await list.WriteStateAsync();
        return list.State.ToString();
    }

    public Task<string> Show() => Task.FromResult(list.State.ToString());
}

internal sealed class ListGrain(
    Journal journal,
    [PersistentState("list", "memory")] IPersistentState<ListState> list,
    [PersistentState("second")] IPersistentState<ListState> second) : Grain, IListGrain
{
    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        journal.Write($"activated with {list.State.Writes}");
        list.RecordExists.ShouldBe(list.State.Writes > 0);
        return Task.CompletedTask;
    }

    public async Task<string> Add(string item)
    {
        list.State.Items.Add(item);
        list.State.Writes++;
        await list.WriteStateAsync();
        return list.State.ToString();
    }

    public Task AddWithoutWriting(string item)
    {
        list.State.Items.Add(item);
        return Task.CompletedTask;
    }

    public Task Reload() => list.ReadStateAsync();

    public Task Clear() => list.ClearStateAsync();

    public Task<string> Show() => Task.FromResult(list.State.ToString());

    public Task End()
    {
        DeactivateOnIdle();
        return Task.CompletedTask;
    }

    public async Task<string> Second(string item)
    {
        second.State.Items.Add(item);
        await second.WriteStateAsync();
        return string.Join(' ', second.State.Items);
    }

    public Task<string> Silo() => Task.FromResult(((EmbeddedOrleans.Runtime.Activation)GrainContext).Silo.Name);
}
