using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using OrleansStreams.Storage.Postgres;

namespace OrleansStreams.Tests.Postgres;

/// <summary>A real PostgreSQL server that this test run starts, on a Unix socket in a temporary folder. It goes with the test run, however that ends.</summary>
internal sealed class PostgresServer : IDisposable
{
    private static readonly Lazy<Task<PostgresServer>> SharedServer = new(StartAsync);
    private static int s_schemas;

    private readonly string _folder;
    private readonly Process _guard;

    private PostgresServer(string folder)
    {
        _folder = folder;
        _guard = Start("guard", folder);
    }

    /// <summary>The server for tests that leave it running; each has a schema of its own in it.</summary>
    public static Task<PostgresServer> SharedAsync => SharedServer.Value;

    public string ConnectionString => $"Host={_folder};Username=postgres;Database=postgres";

    /// <summary>A server of one's own, which may be killed.</summary>
    public static async Task<PostgresServer> StartAsync()
    {
        await RunAsync("install");
        var server = new PostgresServer(Directory.CreateTempSubdirectory("streams-pg-").FullName);
        await RunAsync("create", server._folder);
        return server;
    }

    public static string NewSchema() => $"test_{Environment.ProcessId}_{Interlocked.Increment(ref s_schemas)}";

    public PostgresOptions Options(string? schema = null) => new() { ConnectionString = ConnectionString, Schema = schema ?? NewSchema() };

    public PostgresDatabase Database(PostgresOptions? options = null, TimeProvider? time = null) =>
        new(options ?? Options(), time ?? TimeProvider.System, NullLogger<PostgresDatabase>.Instance);

    /// <summary>SIGKILL to the server and all its processes.</summary>
    public Task KillAsync() => RunAsync("kill", _folder);

    /// <summary>An orderly stop, which ends every session.</summary>
    public Task StopAsync() => RunAsync("stop", _folder);

    /// <summary>Starts it again; returns when it has recovered and takes connections.</summary>
    public Task RestartAsync() => RunAsync("start", _folder);

    public async Task<object?> ExecuteAsync(string sql)
    {
        await using var connection = await ConnectAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync();
    }

    /// <summary>A session beside the product's own.</summary>
    public async Task<NpgsqlConnection> ConnectAsync()
    {
        var connection = new NpgsqlConnection(ConnectionString + ";Pooling=false");
        await connection.OpenAsync();
        return connection;
    }

    public void Dispose()
    {
        _guard.StandardInput.Close();
        _guard.WaitForExit(TimeSpan.FromSeconds(30));
        _guard.Dispose();
    }

    private static Process Start(params string[] arguments) => Process.Start(
        new ProcessStartInfo("bash", [Path.Combine(AppContext.BaseDirectory, "Postgres", "server.sh"), .. arguments]) { RedirectStandardInput = true, RedirectStandardError = true })!;

    private static async Task RunAsync(params string[] arguments)
    {
        using var process = Start(arguments);
        process.StandardInput.Close();
        var errors = process.StandardError.ReadToEndAsync();
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(4));
        await process.WaitForExitAsync(patience.Token);

        // The server itself keeps the pipe open; the script's own words are there when it has failed.
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"server.sh {string.Join(' ', arguments)} failed: {await errors.WaitAsync(TimeSpan.FromSeconds(5))}");
        }
    }
}
