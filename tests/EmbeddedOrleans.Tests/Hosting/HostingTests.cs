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
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddSingleton(new Journal());
        builder.Services.AddSingleton<TimeProvider>(time);
        builder.UseEmbeddedOrleans(silo => silo.AddGrainAssembly(typeof(HostingTests).Assembly).ConfigureServices(s => s.AddSingleton(new Gates())));
        using IHost host = builder.Build();
        await host.StartAsync();
        Task call = host.Services.GetRequiredService<IGrainFactory>().GetGrain<IProbeGrain>("p").Wait("never");
        time.Advance(TimeSpan.FromSeconds(30), () => { });
        await Should.ThrowAsync<TimeoutException>(() => call.WaitAsync(s_patience));
    }

    private sealed class CallingService(IGrainFactory grains) : IHostedService
    {
        public Task StartAsync(CancellationToken cancellationToken) => grains.GetGrain<IProbeGrain>("p").Note("start");

        public Task StopAsync(CancellationToken cancellationToken) => grains.GetGrain<IProbeGrain>("p").Note("stop");
    }
}
