using System.Text.RegularExpressions;

namespace OrleansStreams.Cluster.Tests.Commands;

/// <summary>The command line as a client of the cluster says and does what it does over HTTP.</summary>
[Collection(ProcessCollection.Name)]
public sealed partial class ClusterCommandTests
{
    /// <summary>A command of each kind, with its input; NAME is a name of the run's own.</summary>
    private static readonly (string Command, string Input, int ExitCode)[] Commands =
    [
        ("topics create NAME --partitions 2 --config retention.ms=-1", "", 0),
        ("topics create NAME", "", 1),
        ("topics alter NAME --config cleanup.policy=shred", "", 1),
        ("topics alter NAME --partitions 3", "", 0),
        ("produce NAME", "alice:1\nbob:2\nalice:3\n", 0),
        ("produce NAME --json", "{\"key\": \"carol\", \"value\": \"4\", \"partition\": 1, \"timestamp\": 5}\n", 0),
        ("produce NAME --partition 9", "x:1\n", 1),
        ("produce nowhere", "x:1\n", 1),
        ("topics describe NAME", "", 0),
        ("topics describe no/such?topic", "", 1),
        ("consume NAME --partition 1 --from-beginning --json", "", 0),
        ("consume NAME --group NAME-g", "", 0),
        ("groups describe NAME-g", "", 0),
        ("groups reset NAME-g --topic NAME --to earliest", "", 0),
        ("groups describe no-such-group", "", 1),
        ("records delete NAME --partition 1 --before latest", "", 0),
        ("records delete NAME --partition 1 --before 99", "", 1),
        ("apps list", "", 0),
        ("apps status flight-delays --json", "", 0),
        ("apps query flight-delays --store delays --key ORD", "", 1),
        ("topics delete NAME", "", 0),
        ("consume NAME", "", 1),
        ("consume NAME --max 0", "", 2),
    ];

    [Fact]
    public async Task Every_command_prints_and_returns_the_same_over_http_and_as_a_client_of_the_cluster()
    {
        await using var cluster = await TestCluster.CreateAsync();
        var silo = await cluster.StartSiloAsync();
        var address = silo.Lines.First(line => line.Contains("HTTP API on ", StringComparison.Ordinal)).Split("HTTP API on ")[1].Trim();
        // The names are of one length, because tables are aligned.
        foreach (var (command, input, exitCode) in Commands)
        {
            var overHttp = RunAsync(command, "over-http", input, [], "--server", address);
            var client = await RunAsync(command, "clustered", input, [], "--cluster", cluster.ConnectionString, "--schema", cluster.Schema);
            var http = await overHttp;
            http.ExitCode.ShouldBe(exitCode, $"{command}: {http.Output}");
            Comparable(client.Output, "clustered").ShouldBe(Comparable(http.Output, "over-http"), command);
            client.ExitCode.ShouldBe(exitCode, command);
        }

        // By the environment, as for a silo.
        var variables = new Dictionary<string, string> { ["STREAMS_CLUSTER"] = cluster.ConnectionString, ["STREAMS_SCHEMA"] = cluster.Schema };
        (await RunAsync("topics list", "n", "", variables)).ExitCode.ShouldBe(0);
        variables["STREAMS_SERVER"] = address;
        (await RunAsync("topics list", "n", "", variables)).ShouldBe((2, "error: STREAMS_SERVER and STREAMS_CLUSTER contradict each other; give one of them."));
        (await RunAsync("topics list", "n", "", variables, "--server", address)).ExitCode.ShouldBe(0);
        (await RunAsync("topics list", "n", "", [], "--server", address, "--cluster", "Host=x")).ExitCode.ShouldBe(2);
        var other = await RunAsync("topics list", "n", "", variables, "--cluster", cluster.ConnectionString, "--cluster-id", "other");
        (other.ExitCode, other.Output).ShouldBe((1, $"error: No silo of cluster 'other' (service 'streams') is alive in {PlaceOf(cluster)}; start one, or correct the cluster id."));
    }

    [Theory]
    [InlineData("Hots=x", "is not a connection string of PostgreSQL")]
    [InlineData("Database=x", "names no Host")]
    public async Task A_cluster_that_is_named_wrongly_is_told_in_one_sentence(string named, string expected)
    {
        var (exitCode, told) = await RunAsync("topics list", "n", "", [], "--cluster", named);
        exitCode.ShouldBe(2);
        told.ShouldStartWith("error: --cluster cannot be used: ");
        told.ShouldContain(expected);
        told.ShouldNotContain('\n');
    }

    private static string PlaceOf(TestCluster cluster) => $"{cluster.ConnectionString.Split(';')[0][5..]}/postgres, schema {cluster.Schema}";

    private static async Task<(int ExitCode, string Output)> RunAsync(string command, string name, string input, Dictionary<string, string> variables, params IEnumerable<string> way)
    {
        using var cli = ProgramProcess.Start("ClientApp", variables, [.. command.Replace("NAME", name, StringComparison.Ordinal).Split(' '), .. way]);
        return await cli.EndAsync(input);
    }

    /// <summary>Without what differs between two runs: names, times, ids, which partition's records come first.</summary>
    private static string Comparable(string output, string name) =>
        string.Join('\n', TimeOrId().Replace(output.Replace(name, "NAME", StringComparison.Ordinal), "TIME OR ID").Split('\n').Order(StringComparer.Ordinal));

    [GeneratedRegex("\\b(1[0-9]{12}|[0-9a-f]{16})\\b")]
    private static partial Regex TimeOrId();
}
