using System.Net;
using OrleansStreams.Tests.Postgres;
using OrleansStreams.Silo.Tests.Server;
using static OrleansStreams.Silo.Tests.Server.SampleRun;

namespace OrleansStreams.Silo.Tests.Postgres;

/// <summary>The server as a process of its own, with PostgreSQL as its only storage.</summary>
[Collection(ServerCollection.Name)]
public sealed partial class PostgresSiloTests : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    private readonly TemporaryFolder folder = new();
    private PostgresServer server = null!;

    private string[] Postgres => ["--postgres", server.ConnectionString, "--schema", Schema];

    private string Schema { get; } = PostgresServer.NewSchema();

    public async Task InitializeAsync() => server = await PostgresServer.SharedAsync;

    public Task DisposeAsync()
    {
        folder.Dispose();
        return Task.CompletedTask;
    }

    [Fact]
    public async Task A_killed_silo_on_another_machine_finds_all_records_and_groups_in_the_database()
    {
        await using (var silo = await SiloProcess.StartedAsync(folder.In("one"), sample: false, Postgres))
        {
            await silo.PostAsync("/topics", new { name = "orders", partitions = 2 });
            await silo.PostAsync("/topics/orders/records", new { records = Enumerable.Range(0, 500).Select(i => new { partition = i % 2, value = $"v{i}" }) });
            await silo.PostAsync("/groups/billing/offsets", new { offsets = new[] { new { topic = "orders", partition = 1, offset = 42 } } });
            (await silo.GetAsync("/health/ready")).GetProperty("status").GetString().ShouldBe("ready");
            await silo.KillAsync();
        }

        Directory.Exists(folder.In("one")).ShouldBeFalse("nothing is in files");
        await using var again = await SiloProcess.StartedAsync(folder.In("two"), sample: false, Postgres);
        (await again.ReadAllAsync("orders", 0)).Select(record => record.Value).ShouldBe(Enumerable.Range(0, 250).Select(i => $"v{2 * i}"));
        (await again.ReadAllAsync("orders", 1)).Count.ShouldBe(250);
        var offsets = (await again.GetAsync("/groups/billing/offsets")).GetProperty("offsets");
        offsets[0].GetProperty("offset").GetInt64().ShouldBe(42);
        await again.PostAsync("/topics/orders/records", new { partition = 0, value = "after" });
        (await again.ReadAllAsync("orders", 0))[^1].ShouldBe((250, "after"));
    }

    [Fact]
    public async Task The_sample_killed_in_the_middle_ends_with_the_results_that_it_has_on_files()
    {
        List<string> windows;
        List<string> late;
        await using (var onFiles = await SiloProcess.StartedAsync(folder.In("files"), sample: true))
        {
            await CompletedAsync(onFiles);
            windows = await ValuesAsync(onFiles, "delays-by-airport");
            late = await ValuesAsync(onFiles, "flights-late");
            windows.Count.ShouldBe(17_456);
        }

        await using (var killed = await SiloProcess.StartedAsync(folder.In("sample"), sample: true, [.. Postgres, "--sample-rate", "4000"]))
        {
            await FirstWindowAsync(killed);
            (await killed.GetAsync("/apps/flight-delays")).GetProperty("state").GetString().ShouldBe("Running", "the kill comes too late");
            await killed.KillAsync();
        }

        // Its input goes as well: it is made anew.
        Directory.Delete(folder.In("sample"), recursive: true);
        await using var again = await SiloProcess.StartedAsync(folder.In("sample"), sample: true, Postgres);
        await CompletedAsync(again);
        (await ValuesAsync(again, "delays-by-airport")).ShouldBe(windows);
        (await ValuesAsync(again, "flights-late")).ShouldBe(late);
    }

    [Fact]
    public async Task Mistakes_are_one_line_that_says_what_to_do()
    {
        await RefusedAsync("cannot be reached", "--postgres", "Host=127.0.0.1;Port=1;Username=postgres");
        await RefusedAsync("create it or correct Database", "--postgres", server.ConnectionString.Replace("Database=postgres", "Database=nowhere"));
        await RefusedAsync("is missing and this build needs version", [.. Postgres, "--migrate", "off"]);
        await RefusedAsync("the PostgreSQL connection string cannot be used", "--ConnectionStrings:Streams", "nonsense");
        await RefusedAsync("'migrate' is 'perhaps'; it must be on or off", [.. Postgres, "--migrate", "perhaps"]);
        await RefusedAsync("'postgres-writers' is '0'; it must be a number from 1 to 64", [.. Postgres, "--postgres-writers", "0"]);
        Directory.Exists(folder.In("data")).ShouldBeFalse();
    }

    [Fact]
    public async Task Readiness_tells_that_the_database_is_away_and_that_it_is_back()
    {
        using var own = await PostgresServer.StartAsync();
        await using var silo = await SiloProcess.StartedAsync(folder.In("data"), sample: false, "--postgres", own.ConnectionString);
        await silo.PostAsync("/topics", new { name = "orders", partitions = 1 });
        await silo.PostAsync("/topics/orders/records", new { value = "before" });
        await own.KillAsync();
        using (var away = await ReadyUntilAsync(silo, HttpStatusCode.ServiceUnavailable))
        {
            (await away.Content.ReadAsStringAsync()).ShouldContain("The storage ");
        }

        (await silo.GetAsync("/health/live")).GetProperty("status").GetString().ShouldBe("live");
        await own.RestartAsync();
        (await ReadyUntilAsync(silo, HttpStatusCode.OK)).Dispose();
        await silo.PostAsync("/topics/orders/records", new { value = "after" });
        (await silo.ReadAllAsync("orders", 0)).Select(record => record.Value).ShouldBe(["before", "after"]);
    }

    private static async Task<HttpResponseMessage> ReadyUntilAsync(SiloProcess silo, HttpStatusCode wanted)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (true)
        {
            var response = await silo.Http.GetAsync("/health/ready", patience.Token);
            if (response.StatusCode == wanted)
            {
                return response;
            }

            response.Dispose();
        }
    }

    private async Task RefusedAsync(string message, params string[] arguments)
    {
        await using var silo = SiloProcess.Run(["--data", folder.In("data"), "--urls", "http://127.0.0.1:0", "--sample", "false", .. arguments]);
        var (exitCode, output, errors) = await silo.EndAsync();
        exitCode.ShouldBe(1, errors + output);
        errors.ShouldStartWith("silo: ");
        errors.ShouldContain(message);
        errors.TrimEnd().Split('\n').Length.ShouldBe(1, errors);
        (errors + output).ShouldNotContain("   at ");
    }
}
