using System.Diagnostics;
using System.Runtime.CompilerServices;
using OrleansStreams.Silo.Tests.Server;

namespace OrleansStreams.ClientApp.Tests;

/// <summary>The README's block of server and commands, executed as it is written against a real silo process.</summary>
public sealed class ReadmeCommandTests : IDisposable
{
    private const string Server = "dotnet run -c Release --project Silo -- --data /tmp/streams";
    private const string Alias = "alias streams='dotnet run -c Release --project ClientApp --'";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task The_READMEs_commands_run_as_they_are_written()
    {
        var block = Block();
        block[0].ShouldStartWith(Server);
        block[1].ShouldBe(Alias);
        await using var silo = await SiloProcess.StartedAsync(folder.In("data"), sample: true);

        await SampleRunsAsync(silo);
        var output = await ShellAsync(silo, block[2..]);

        output.ShouldContain("1 book");
        output.ShouldContain("2 pens");
        output.ShouldContain("billing");
        output.ShouldContain("app 'flight-delays'");
        output.ShouldContain("WINDOW START");
        output.ShouldContain("\"name\":\"orders\"");
        (await ShellAsync(silo, [.. Block("../../Grains/Processing/README.md", "# Applications: ").Where(line => line.StartsWith("streams ", StringComparison.Ordinal))])).ShouldContain("flowchart");
    }

    /// <summary>Waits until the sample's tasks are up, which a person who types is slower than; each question paces the next.</summary>
    private static async Task SampleRunsAsync(SiloProcess silo)
    {
        using var patience = new CancellationTokenSource(Patience);
        while ((await silo.GetAsync("/apps/flight-delays", patience.Token)).GetProperty("tasks") is var tasks
            && (tasks.GetArrayLength() == 0 || tasks.EnumerateArray().Any(task => task.GetProperty("state").GetString() is not ("Running" or "Completed"))))
        {
        }
    }

    /// <summary>The lines of a section's first block of code that are no comments or blank.</summary>
    private static string[] Block(string page = "../../README.md", string heading = "## A server", [CallerFilePath] string here = "") =>
    [
        .. File.ReadLines(Path.Combine(Path.GetDirectoryName(here)!, page))
            .SkipWhile(line => !line.StartsWith(heading, StringComparison.Ordinal)).SkipWhile(line => line != "```").Skip(1).TakeWhile(line => line != "```").Where(line => line.Length > 0),
    ];

    /// <summary>Runs lines one after the other, the first failure ending it, with this build's command line and the port that the system gave.</summary>
    private static async Task<string> ShellAsync(SiloProcess silo, string[] lines)
    {
        var address = silo.Http.BaseAddress!.ToString().TrimEnd('/');
        string[] script =
        [
            "set -e",
            $"streams() {{ dotnet '{Cli.Assembly}' \"$@\"; }}",

            .. lines.Select(line => line.Replace("http://127.0.0.1:8080", address, StringComparison.Ordinal)),
        ];
        var start = new ProcessStartInfo("bash", ["-c", string.Join('\n', script)]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["STREAMS_SERVER"] = address;
        using var shell = Process.Start(start)!;
        var output = shell.StandardOutput.ReadToEndAsync();
        var errors = shell.StandardError.ReadToEndAsync();
        await shell.WaitForExitAsync().WaitAsync(Patience);
        shell.ExitCode.ShouldBe(0, await errors + await output);
        return await output;
    }
}
