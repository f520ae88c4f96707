using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.ClientApp.Tests.Demo;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.ClientApp.Tests;

public sealed class LogCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("streams-log-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_clean_log_is_dumped_and_verified_and_a_damaged_one_fails_with_the_place_of_the_damage()
    {
        var segment = await FillAsync();

        var verified = (await RunAsync("log", "verify", _folder)).Fine();
        verified.Lines[0].ShouldStartWith("topics/orders.1/0: offsets 0 to 3, ");
        verified.Lines[0].ShouldEndWith(": fine");
        verified.Lines[^1].ShouldBe("1 logs, 0 damaged");
        var dumped = (await RunAsync("log", "dump", _folder, "--log", "topics/")).Fine();
        dumped.Lines.Count(line => line.Contains("1 records,", StringComparison.Ordinal)).ShouldBe(3);
        dumped.Output.ShouldContain("producer 7/0 from sequence 2");
        (await RunAsync("log", "dump", _folder, "--log", "none")).Fine().Lines.ShouldBe(["0 logs, 0 damaged"]);
        var json = (await RunAsync("log", "dump", _folder, "--json")).Fine().Lines.Select(line => JsonDocument.Parse(line).RootElement).ToList();
        json.Select(line => line.GetProperty("kind").GetString()).ShouldBe(["batch", "batch", "batch", "log", "total"]);

        var bytes = await File.ReadAllBytesAsync(segment);
        bytes[^3] ^= 1;
        await File.WriteAllBytesAsync(segment, bytes);
        var damaged = await RunAsync("log", "verify", _folder);
        damaged.ExitCode.ShouldBe(1);
        damaged.Errors.ShouldBeEmpty();
        damaged.Output.ShouldContain("offset 2");
        damaged.Lines[^1].ShouldBe("1 logs, 1 damaged");
        (await File.ReadAllBytesAsync(segment)).ShouldBe(bytes);
    }

    [Fact]
    public async Task What_a_killed_demo_left_behind_is_sound_and_the_demo_goes_on_from_it()
    {
        var data = Path.Combine(_folder, "demo");
        string[] arguments = ["--data", data, "--rate", "8000"];
        using (var demo = new DemoProcess(arguments))
        {
            await demo.FirstProgress;
            (await RunAsync("log", "verify", data)).Failed(1, "in use");
            await demo.KillAsync();
        }

        (await RunAsync("log", "verify", data)).Fine().Lines[^1].ShouldEndWith(" logs, 0 damaged");
        using var again = new DemoProcess([.. arguments, "--verify"]);
        var (exitCode, _, errors) = await again.EndAsync();
        exitCode.ShouldBe(0, errors);
    }

    [Fact]
    public async Task A_folder_without_logs_is_refused_with_what_to_give()
    {
        (await RunAsync("log", "verify", _folder)).Failed(1, "--data");
        (await RunAsync("log", "dump")).ExitCode.ShouldBe(2);
    }

    private static Task<Cli.Result> RunAsync(params string[] arguments) => Cli.RunAsync("http://127.0.0.1:1", string.Empty, arguments);

    private async Task<string> FillAsync()
    {
        var root = Path.Combine(_folder, "logs");
        await using var storage = new FileLogStorage(new FileLogStorageOptions { RootPath = root }, TimeProvider.System, NullLogger<FileLogStorage>.Instance);
        await using var log = await storage.OpenAsync(new LogId("topics/orders.1/0"), new LogOptions());
        var builder = new RecordBatchBuilder();
        for (var sequence = 0; sequence < 3; sequence++)
        {
            builder.Append(1_000_000, "key"u8, false, "value"u8, false);
            await log.AppendAsync(log.NextOffset, [builder.Build(7, 0, sequence)]);
        }

        return Directory.GetFiles(root, "*.log", SearchOption.AllDirectories).ShouldHaveSingleItem();
    }
}
