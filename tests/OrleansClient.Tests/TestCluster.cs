using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansStreams.Clients;
using OrleansStreams.Tests.Postgres;

namespace OrleansStreams.Cluster.Tests;

/// <summary>A schema of the test run's PostgreSQL, silos in it as processes, and clients of them.</summary>
internal sealed class TestCluster : IAsyncDisposable
{
    private readonly List<ProgramProcess> programs = [];
    private readonly List<IHost> clients = [];

    private TestCluster(string connectionString, string schema) => (ConnectionString, Schema) = (connectionString, schema);

    public string ConnectionString { get; }

    public string Schema { get; }

    /// <summary>Where a client program finds this cluster.</summary>
    public Dictionary<string, string> ClientVariables => new() { ["ConnectionStrings__Streams"] = ConnectionString, ["Streams__Schema"] = Schema };

    public static async Task<TestCluster> CreateAsync() => new((await PostgresServer.SharedAsync).ConnectionString, PostgresServer.NewSchema());

    /// <summary>Starts a silo, of the server's program or of another, and returns when it runs.</summary>
    public async Task<ProgramProcess> StartSiloAsync(string program = "Silo", string started = "HTTP API on ", int siloPort = 0, int gatewayPort = 0, string url = "http://127.0.0.1:0")
    {
        var silo = Run(
            program, [], "--postgres", ConnectionString, "--schema", Schema, "--advertised-address", "127.0.0.1", "--urls", url, "--sample", "false",
            "--silo-port", $"{siloPort}", "--gateway-port", $"{gatewayPort}");
        await silo.PrintedAsync(started);
        return silo;
    }

    /// <summary>Starts a program that goes with the cluster.</summary>
    public ProgramProcess Run(string program, Dictionary<string, string> variables, params IEnumerable<string> arguments)
    {
        var process = ProgramProcess.Start(program, variables, arguments);
        programs.Add(process);
        return process;
    }

    /// <summary>An Orleans client in this process.</summary>
    public async Task<StreamsClient> ConnectAsync()
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.UseStreamsClusterClient(options => (options.ConnectionString, options.Schema) = (ConnectionString, Schema));
        builder.Logging.ClearProviders();
        var host = builder.Build();
        clients.Add(host);
        await host.StartAsync();
        return host.Services.GetRequiredService<StreamsClient>();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var client in clients)
        {
            using var stopping = new CancellationTokenSource(TimeSpan.FromSeconds(5));
            await client.StopAsync(stopping.Token);
            client.Dispose();
        }

        programs.ForEach(program => program.Dispose());
    }
}

/// <summary>Tests with processes run one after the other: they measure time, and a machine that builds has few cores.</summary>
[CollectionDefinition(Name)]
public sealed class ProcessCollection
{
    public const string Name = "processes";
}
