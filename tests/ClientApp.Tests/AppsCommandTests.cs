using System.Text.Json;

namespace OrleansStreams.ClientApp.Tests;

public sealed class AppsCommandTests : IAsyncLifetime
{
    private TestSilo silo = null!;

    public async Task InitializeAsync() => silo = await TestSilo.StartAsync(services: StubApplications.Register);

    public async Task DisposeAsync() => await silo.DisposeAsync();

    [Fact]
    public async Task An_application_is_started_watched_queried_and_stopped()
    {
        (await Cli.RunAsync(silo, "apps", "list")).Fine().Lines[1].Split(' ', StringSplitOptions.RemoveEmptyEntries).ShouldBe(["stub-app", "Stopped", "0"]);
        (await Cli.RunAsync(silo, "apps", "start", "stub-app", "--param", "grace=1h", "--param", "file=a=b")).Fine();

        var status = (await Cli.RunAsync(silo, "apps", "status", "stub-app")).Fine();
        status.Output.ShouldContain("watermark 2001-01-01T02:00:00Z, lag 8, 13 records/s");
        status.Lines.Last().ShouldEndWith("The value at offset 7 is no number.");
        var json = JsonDocument.Parse((await Cli.RunAsync(silo, "apps", "status", "stub-app", "--json")).Fine().Output).RootElement;
        json.GetProperty("parameters").GetProperty("file").GetString().ShouldBe("a=b");

        var query = (await Cli.RunAsync(silo, "apps", "query", "stub-app", "--store", "delays", "--key", "DTW", "--from", "2001-01-01T01:00:00Z", "--to", "2001-01-01T02:00:00Z")).Fine();
        query.Lines.Length.ShouldBe(3);
        query.Lines[2].ShouldContain("watermark");
        query.Lines[2].ShouldContain(", commit ");
        query.Lines[1].ShouldStartWith("2001-01-01T01:00:00Z  2001-01-01T02:00:00Z  {\"key\":\"DTW\"}");
        query.Lines[1].ShouldEndWith("yes");

        (await Cli.RunAsync(silo, "apps", "topology", "stub-app")).Fine().Lines[0].ShouldBe("Sub-topology 0");
        (await Cli.RunAsync(silo, "apps", "topology", "stub-app", "--mermaid")).Fine().Lines.ShouldBe(["flowchart TD"]);
        var rows = (await Cli.RunAsync(silo, "apps", "query", "stub-app", "--store", "delays", "--from-key", "a", "--at-least", "in:0:7", "--at-least", "in:1:9")).Fine();
        rows.Lines[1].ShouldStartWith("a ");
        rows.Lines[1].ShouldContain("Partition = 1, Offset = 9");
        rows.Lines[^2].ShouldBe("of 'stub-app', partition 0: watermark 2001-01-01T02:00:00Z, commit 42");
        rows.Lines[^1].ShouldBe("more: --continuation bmV4dA");
        (await Cli.RunAsync(silo, "apps", "query", "stub-app", "--store", "delays", "--key", "a", "--from-key", "a")).Failed(2, "--key reads one key");

        (await Cli.RunAsync(silo, "apps", "stop", "stub-app")).Fine().Output.ShouldContain("Stopped");
        (await Cli.RunAsync(silo, "apps", "query", "stub-app", "--store", "delays", "--key", "DTW")).Failed(1, "not running");
        (await Cli.RunAsync(silo, "apps", "status", "nobody")).Failed(1, "nobody");
    }
}
