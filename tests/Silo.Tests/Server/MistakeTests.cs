using System.Net;
using System.Net.Sockets;

namespace OrleansStreams.Silo.Tests.Server;

/// <summary>A user's mistakes at the start: one line that says what to do, an exit code, nothing changed.</summary>
[Collection(ServerCollection.Name)]
public sealed class MistakeTests : IDisposable
{
    private const string FreePort = "http://127.0.0.1:0";

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(2, "unknown option '--dta'", "--dta", "x")]
    [InlineData(2, "unknown option '--contentRoot'", "--contentRoot", "/tmp")]
    [InlineData(2, "--flush needs a value", "--flush")]
    [InlineData(1, "'flush' is 'sometimes'; it must be always, interval or os", "--flush", "sometimes")]
    [InlineData(1, "'flush-interval' is '0'; it must be a number from 1 to 3600000", "--flush-interval", "0")]
    [InlineData(1, "'journal-bytes' is '1 GB'; it must be a number from 0 to", "--journal-bytes", "1 GB")]
    [InlineData(1, "'guarantee' is 'twice'; it must be exactly-once, at-least-once or at-most-once", "--guarantee", "twice")]
    [InlineData(1, "'commit-interval-ms' is '3600001'; it must be a number from 0 to 3600000", "--commit-interval-ms", "3600001")]
    [InlineData(1, "'state-bytes-max' is '1000'; it must be a number of 1048576 or more, or 0 for no bound", "--state-bytes-max", "1000")]
    [InlineData(1, "'sample' is 'maybe'; it must be true or false", "--sample", "maybe")]
    [InlineData(1, "'silo-port' is '70000'; it must be a port from 1 to 65535", "--silo-port", "70000")]
    [InlineData(1, "'gateway-port' is '11111'; it must be another port than the setting 'silo-port'", "--silo-port", "11111", "--gateway-port", "11111")]
    [InlineData(1, "'cluster-id' is ' '; it must be a name of 1 to 150 characters", "--cluster-id", " ")]
    [InlineData(1, "'probe-timeout-ms' is '1 s'; it must be a number from 50 to 60000", "--probe-timeout-ms", "1 s")]
    [InlineData(1, "'probes-missed-max' is '0'; it must be a number from 1 to 100", "--probes-missed-max", "0")]
    [InlineData(1, "'death-votes' is '11'; it must be a number from 1 to 10", "--death-votes", "11")]
    [InlineData(1, "'response-timeout-ms' is '10'; it must be a number from 1000 to 600000", "--response-timeout-ms", "10")]
    [InlineData(1, "'rebalance-ms' is '99'; it must be a number from 100 to 600000, or 0 for never", "--rebalance-ms", "99")]
    [InlineData(1, "'advertised-address' is for a silo of a cluster, and", "--advertised-address", "127.0.0.1")]
    [InlineData(1, "'urls' is 'nonsense'; it must be an address", "--urls", "nonsense")]
    [InlineData(1, "'urls' is 'http://127.0.0.1:99999'; it must be an address", "--urls", "http://127.0.0.1:99999")]
    [InlineData(1, "'Nonsense' is not supported", "--Logging:LogLevel:Default", "Nonsense")]
    public async Task A_wrong_option_or_setting_is_one_line_and_no_data_folder_is_made(int exitCode, string message, params string[] options)
    {
        await RefusedAsync(exitCode, message, ["--data", folder.In("data"), .. options]);

        Directory.Exists(folder.In("data")).ShouldBeFalse();
    }

    [Theory]
    [InlineData("Cannot assign requested address", "http://192.0.2.1:8080")]
    [InlineData("certificate", "https://127.0.0.1:0")]
    public async Task An_address_that_cannot_be_served_is_one_line(string message, string url) =>
        await RefusedAsync(1, message, "--data", folder.In("data"), "--urls", url, "--sample", "false");

    [Fact]
    public async Task A_port_in_use_is_one_line_that_names_it_and_the_sample_does_not_start()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var port = ((IPEndPoint)taken.LocalEndpoint).Port;

        await RefusedAsync(1, $"{port}: address already in use. Stop the other program or choose another address", "--data", folder.In("data"), "--urls", $"http://127.0.0.1:{port}");

        Directory.Exists(Path.Combine(folder.In("data"), "sample")).ShouldBeFalse();
        Directory.EnumerateFiles(folder.In("data"), "*.log", SearchOption.AllDirectories).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_data_folder_in_use_is_one_line_and_the_silo_that_uses_it_is_not_disturbed()
    {
        await using var first = await SiloProcess.StartedAsync(folder.In("data"));
        await first.PostAsync("/topics", new { name = "orders", partitions = 1 });
        await first.PostAsync("/topics/orders/records", new { value = "before" });

        await RefusedAsync(1, "is in use", "--data", folder.In("data"), "--urls", FreePort, "--sample", "false");

        await first.PostAsync("/topics/orders/records", new { value = "after" });
        (await first.ReadAllAsync("orders", 0)).ShouldBe([(0, "before"), (1, "after")]);
    }

    [Theory]
    [InlineData("file/data")]
    [InlineData("file")]
    public async Task A_data_folder_that_cannot_be_written_is_one_line(string data)
    {
        await File.WriteAllTextAsync(folder.In("file"), "mine");

        await RefusedAsync(1, "cannot be used", "--data", folder.In(data), "--urls", FreePort, "--sample", "false");

        (await File.ReadAllTextAsync(folder.In("file"))).ShouldBe("mine");
    }

    [Fact]
    public async Task Grain_state_that_cannot_be_written_is_told_at_the_start_and_not_by_the_first_request()
    {
        Directory.CreateDirectory(folder.In("data"));
        await File.WriteAllTextAsync(Path.Combine(folder.In("data"), "grains"), "mine");

        await RefusedAsync(1, "cannot be used", "--data", folder.In("data"), "--urls", FreePort, "--sample", "false");
    }

    private static async Task RefusedAsync(int expected, string message, params string[] arguments)
    {
        // Who has a certificate for development has it in his home.
        await using var silo = SiloProcess.Run(new Dictionary<string, string> { ["HOME"] = Path.GetTempPath() + "nobody" }, arguments);
        var (exitCode, output, errors) = await silo.EndAsync();
        exitCode.ShouldBe(expected, errors + output);
        errors.ShouldStartWith("silo: ");
        errors.ShouldContain(message);
        errors.TrimEnd().Split('\n').Length.ShouldBe(1, errors);
        (errors + output).ShouldNotContain("   at ");
    }
}
