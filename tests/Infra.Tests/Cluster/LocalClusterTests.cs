using System.Net;
using System.Net.Sockets;

namespace OrleansStreams.Infra.Tests.Cluster;

/// <summary>infra/cluster/local.sh with real silos and a real PostgreSQL.</summary>
public sealed class LocalClusterTests : IAsyncLifetime
{
    private const int PortsOfEach = 20;

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("infra-local-");
    private readonly int[] ports = FreeRanges(4);

    public async Task InitializeAsync()
    {
        var (code, _, errors) = await Repository.RunAsync("bash", [Repository.PathOf("tests/Postgres/server.sh"), "install"]);
        code.ShouldBe(0, errors);
    }

    public async Task DisposeAsync()
    {
        await RunAsync("down");
        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task Silos_come_up_are_killed_paused_added_and_stopped_and_nothing_is_left()
    {
        await DoneAsync("up 2", "silo 1 is ready", "silo 2 is ready");
        await RefusedAsync("up 2", "a cluster is up already");
        await RefusedAsync("kill 3", "there is no silo 3; there are: 1 2");
        await RefusedAsync("resume 1", "silo 1 is running; only a paused one can be resumed");

        await DoneAsync("kill 2", "silo 2 is killed");
        await RefusedAsync("kill 2", "silo 2 is gone already");
        await RefusedAsync("stop 2", "silo 2 is gone");
        await DoneAsync("status", "silo 1    ready", "silo 2    gone");

        await DoneAsync("add", "silo 3 is ready");
        await DoneAsync("add 2", "silo 2 is ready");
        await RefusedAsync("add 2", "silo 2 is running; only one that is gone is started again");

        await DoneAsync("pause 3", "silo 3 is paused");
        await RefusedAsync("stop 3", "silo 3 is paused");
        await DoneAsync("status", "silo 2    ready", "silo 3    paused");
        await DoneAsync("resume 3", "silo 3 goes on");
        await DoneAsync("stop 1", "silo 1 stopped in");
        await DoneAsync("logs 1", "HTTP API on");

        await DoneAsync("down", "all is stopped");
        await DoneAsync("down", "nothing is up");
        Directory.EnumerateDirectories("/proc").Where(process => IsOurs(process)).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_port_that_is_taken_stops_the_start_and_nothing_is_left()
    {
        using var other = new TcpListener(IPAddress.Loopback, ports[0] + 1);
        other.Start();
        var (code, _, errors) = await RunAsync("up 1");
        code.ShouldBe(1);
        errors.ShouldContain("silo 1 ended before it was ready");
        errors.ShouldContain("address already in use");
        (await RunAsync("status")).ExitCode.ShouldBe(3);
        Directory.EnumerateDirectories("/proc").Where(process => IsOurs(process)).ShouldBeEmpty();
    }

    // Four ranges that are free now, below those that the system gives to outgoing connections.
    private static int[] FreeRanges(int count)
    {
        var taken = System.Net.NetworkInformation.IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpListeners().Select(end => end.Port).ToHashSet();
        return [.. Enumerable.Range(0, 200).Select(range => 12_000 + ((Environment.ProcessId + range) % 900 * PortsOfEach))
            .Where(start => !Enumerable.Range(start, PortsOfEach).Any(taken.Contains)).Take(count)];
    }

    private bool IsOurs(string process)
    {
        try
        {
            return File.ReadAllText(Path.Combine(process, "cmdline")).Contains(folder.FullName, StringComparison.Ordinal);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private async Task DoneAsync(string command, params string[] told)
    {
        var (code, output, errors) = await RunAsync(command);
        code.ShouldBe(0, $"{command}: {output}{errors}");
        foreach (var text in told)
        {
            output.ShouldContain(text);
        }
    }

    private async Task RefusedAsync(string command, string told)
    {
        var (code, _, errors) = await RunAsync(command);
        code.ShouldBe(3, $"{command}: {errors}");
        errors.ShouldContain(told);
    }

    private Task<(int ExitCode, string Output, string Errors)> RunAsync(string command) => Repository.RunAsync(
        "bash",
        [Repository.PathOf("infra/cluster/local.sh"), .. command.Split(' ')],
        new Dictionary<string, string?>
        {
            ["CLUSTER_DIR"] = folder.FullName,
            ["CLUSTER_SILO"] = AppContext.BaseDirectory,
            ["CLUSTER_HTTP_PORT"] = $"{ports[0]}",
            ["CLUSTER_SILO_PORT"] = $"{ports[1]}",
            ["CLUSTER_GATEWAY_PORT"] = $"{ports[2]}",
            ["CLUSTER_POSTGRES_PORT"] = $"{ports[3]}",
        });
}
