using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using OrleansStreams.Tests.Postgres;

namespace OrleansStreams.Tests.Cluster;

/// <summary>
/// A cluster on this machine: a PostgreSQL server of its own and silo processes on loopback. Nothing of it outlives the test run, however that ends.
/// </summary>
internal sealed class SiloCluster : IAsyncDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("streams-cluster-").FullName;
    private readonly Process _guard;
    private readonly string[] _settings;
    private readonly List<SiloProcess> _all = [];

    private SiloCluster(PostgresServer database, string[] settings)
    {
        Database = database;
        _settings = settings;
        _guard = Process.Start(new ProcessStartInfo("bash", [Path.Combine(AppContext.BaseDirectory, "Cluster", "silos.sh"), _folder]) { RedirectStandardInput = true })!;
    }

    public PostgresServer Database { get; }

    public string Schema => "cluster";

    /// <summary>The silos that were started and have not ended, the oldest first.</summary>
    public IReadOnlyList<SiloProcess> Silos => [.. _all.Where(silo => !silo.HasExited)];

    /// <summary>What every silo printed last, also those that are gone.</summary>
    public string Logs => _all.Aggregate(new StringBuilder(), (text, silo) => text.Append($"\n==== {silo.Name}{(silo.HasExited ? ", gone" : "")}\n{silo.Log}\n")).ToString();

    /// <summary>Starts so many silos at once, each with these settings.</summary>
    public static async Task<SiloCluster> StartAsync(int silos, params string[] settings)
    {
        var cluster = new SiloCluster(await PostgresServer.StartAsync(), settings);
        try
        {
            await cluster.AddAsync(silos);
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts more silos, on data folders of their own, and waits until they serve.</summary>
    public async Task<IReadOnlyList<SiloProcess>> AddAsync(int count = 1)
    {
        var added = Enumerable.Range(0, count).Select(_ => Launch()).ToList();
        await Task.WhenAll(added.Select(silo => silo.ReadyAsync()));
        return added;
    }

    /// <summary>SIGTERM; waits for the end, which must be an orderly one.</summary>
    public static async Task StopAsync(SiloProcess silo)
    {
        silo.Terminate();
        if (await silo.EndedAsync() is not 0 and var exitCode)
        {
            throw new InvalidOperationException($"{silo.Name} ended with {exitCode} when it was told to stop:\n{silo.Log}");
        }
    }

    /// <summary>A client of its own, as another process would be one.</summary>
    public Task<ClusterClient> ConnectAsync() => ClusterClient.ConnectAsync(Database.ConnectionString, Schema);

    public ValueTask DisposeAsync()
    {
        _all.ForEach(silo => silo.Dispose());
        _guard.StandardInput.Close();
        _guard.WaitForExit(TimeSpan.FromSeconds(30));
        _guard.Dispose();
        Database.Dispose();
        return ValueTask.CompletedTask;
    }

    private SiloProcess Launch()
    {
        var name = $"silo-{_all.Count + 1}";
        var (port, gatewayPort) = FreePorts();
        var silo = new SiloProcess(
            name,
            port,
            [
                "--postgres", Database.ConnectionString, "--schema", Schema, "--data", Path.Combine(_folder, name), "--urls", "http://127.0.0.1:0",
                "--advertised-address", "127.0.0.1", "--silo-port", $"{port}", "--gateway-port", $"{gatewayPort}", .. _settings,
            ]);
        _guard.StandardInput.WriteLine(silo.Id);
        _guard.StandardInput.Flush();
        _all.Add(silo);
        return silo;
    }

    private static (int Port, int GatewayPort) FreePorts()
    {
        using var one = new TcpListener(IPAddress.Loopback, 0);
        using var other = new TcpListener(IPAddress.Loopback, 0);
        one.Start();
        other.Start();
        return (((IPEndPoint)one.LocalEndpoint).Port, ((IPEndPoint)other.LocalEndpoint).Port);
    }
}
