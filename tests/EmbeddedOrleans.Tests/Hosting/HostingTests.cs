using EmbeddedOrleans.Hosting;
using EmbeddedOrleans.Tests.Fixture;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans;

namespace EmbeddedOrleans.Tests.Hosting;

public sealed class HostingTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task An_application_hosts_grains_with_its_services_and_stops_them_in_good_order()
    {
        var journal = new Journal();
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddSingleton(journal);
        builder.UseEmbeddedOrleans(silo => silo
            .AddGrainAssembly(typeof(HostingTests).Assembly)
            .AddMemoryGrainStorage("memory")
            .ConfigureServices(services => services.AddSingleton(new Gates())));
        using IHost host = builder.Build();
        await host.StartAsync();
        IGrainFactory grains = host.Services.GetRequiredService<IGrainFactory>();
        (await grains.GetGrain<IProbeGrain>("hosted").Echo("hello").WaitAsync(s_patience)).ShouldBe("hello");
        await host.StopAsync();
        journal.Entries.ShouldBe(["activate hosted", "deactivate hosted ShuttingDown"]);
        await Should.ThrowAsync<Orleans.Runtime.SiloUnavailableException>(() => grains.GetGrain<IProbeGrain>("hosted").Echo("late").WaitAsync(s_patience));
    }

    [Fact]
    public async Task Other_hosted_services_may_call_grains_when_they_start_and_when_they_stop()
    {
        var journal = new Journal();
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddSingleton(journal);
        builder.Services.AddHostedService<CallingService>();
        builder.UseEmbeddedOrleans(silo => silo.AddGrainAssembly(typeof(HostingTests).Assembly).ConfigureServices(s => s.AddSingleton(new Gates())));
        using IHost host = builder.Build();
        await host.StartAsync();
        await host.StopAsync();
        journal.Entries.ShouldBe(["activate p", "start", "stop", "deactivate p ShuttingDown"]);
    }

    [Fact]
    public async Task A_clock_in_the_application_is_the_hosts_clock()
    {
        var time = new ManualTimeProvider();
        var gates = new Gates();
        using IHost host = HostWith(time, new Journal(), gates);
        await host.StartAsync();
        Task call = host.Services.GetRequiredService<IGrainFactory>().GetGrain<IProbeGrain>("p").Wait("never");
        time.Advance(TimeSpan.FromSeconds(30), () => { });
        (await Should.ThrowAsync<TimeoutException>(() => call.WaitAsync(s_patience))).Message.ShouldContain("ResponseTimeout");
        gates.Open("never");
    }

    [Fact]
    public async Task An_application_that_is_disposed_waits_for_a_call_that_never_ends_only_so_long()
    {
        var time = new ManualTimeProvider();
        var journal = new Journal();
        IHost host = HostWith(time, journal, new Gates());
        await host.StartAsync();
        _ = host.Services.GetRequiredService<IGrainFactory>().GetGrain<IProbeGrain>("p").Wait("never");
        SpinWait.SpinUntil(() => journal.Entries.Contains("begin never"), s_patience).ShouldBeTrue();

        var disposed = Task.Run(host.Dispose);
        SpinWait.SpinUntil(
            () =>
            {
                time.Advance(TimeSpan.FromSeconds(1), () => { });
                return disposed.IsCompleted;
            },
            s_patience).ShouldBeTrue();

        await disposed;
        journal.Entries.ShouldNotContain("deactivate p ShuttingDown");
    }

    [Fact]
    public async Task A_grain_of_an_application_whose_services_are_gone_is_unavailable()
    {
        var options = new EmbeddedClusterOptions();
        options.AddGrainAssembly(typeof(HostingTests).Assembly);
        using var cluster = EmbeddedCluster.Create(options);
        ServiceProvider services = new ServiceCollection().BuildServiceProvider();
        cluster.AddSilo("silo", services, ownsServices: false);
        await services.DisposeAsync();

        await Should.ThrowAsync<Orleans.Runtime.SiloUnavailableException>(() => cluster.GrainFactory.GetGrain<IProbeGrain>("p").Echo("x").WaitAsync(s_patience));
    }

    private static IHost HostWith(TimeProvider time, Journal journal, Gates gates)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddSingleton(journal);
        builder.Services.AddSingleton(time);
        builder.UseEmbeddedOrleans(silo => silo.AddGrainAssembly(typeof(HostingTests).Assembly).ConfigureServices(s => s.AddSingleton(gates)));
        return builder.Build();
    }

    private sealed class CallingService(IGrainFactory grains) : IHostedService
    {
        public Task StartAsync(CancellationToken cancellationToken) => grains.GetGrain<IProbeGrain>("p").Note("start");

        public Task StopAsync(CancellationToken cancellationToken) => grains.GetGrain<IProbeGrain>("p").Note("stop");
    }
}
