using System.Text.Json;

namespace OrleansStreams.ClientApp.Tests;

[Collection(SiloCollection.Name)]
public class TopicsCommandTests(SiloFixture fixture)
{
    private readonly TestSilo silo = fixture.Silo;

    [Fact]
    public async Task A_topic_is_created_listed_described_and_deleted()
    {
        var created = (await Cli.RunAsync(silo, "topics", "create", "cli.flights", "--partitions", "3", "--config", "retention.ms=60000")).Fine();
        created.Output.ShouldBe("created topic 'cli.flights' with 3 partition(s)\n");

        var listed = (await Cli.RunAsync(silo, "topics", "list")).Fine();
        listed.Lines[0].ShouldStartWith("TOPIC");
        listed.Lines.Single(line => line.StartsWith("cli.flights", StringComparison.Ordinal)).ShouldEndWith(" 3");
        listed.Output.ShouldNotContain("\u001b", customMessage: "plain where nobody looks");
        listed.Output.ShouldNotContain("│");

        var described = JsonDocument.Parse((await Cli.RunAsync(silo, "topics", "describe", "cli.flights", "--json")).Fine().Output).RootElement;
        described.GetProperty("config").GetProperty("retention.ms").GetInt64().ShouldBe(60000);
        (await Cli.RunAsync(silo, "topics", "describe", "cli.flights")).Fine().Output.ShouldContain("retention.ms = 60000");

        (await Cli.RunAsync(silo, "topics", "delete", "cli.flights")).Fine();
        (await Cli.RunAsync(silo, "topics", "describe", "cli.flights")).Failed(1, "cli.flights");
    }

    [Fact]
    public async Task The_server_says_what_is_wrong_with_a_topic()
    {
        var topic = await silo.CreateTopicAsync();

        (await Cli.RunAsync(silo, "topics", "create", topic)).Failed(1, topic);
        (await Cli.RunAsync(silo, "topics", "create", "x", "--config", "retention.hours=1")).Failed(1, "retention.ms");
        (await Cli.RunAsync(silo, "topics", "delete", "nowhere")).Failed(1, "nowhere");
    }

    [Theory]
    [InlineData("topics --help", "topics")]
    [InlineData("--help", "topics")]
    [InlineData("--help", "--bogus")]
    [InlineData("topics create --help", "topics create")]
    [InlineData("topics create --help", "topics create x --partitions many")]
    [InlineData("NAME=VALUE", "topics create x --config retention")]
    [InlineData("all", "produce x --acks 1")]
    [InlineData("--partition", "consume x --offset 5")]
    [InlineData("earliest", "consume x --offset middle")]
    [InlineData("contradict", "consume x --offset latest --from-beginning")]
    [InlineData("contradict", "consume x --group g --partition 0")]
    [InlineData("--max", "consume x --max 0")]
    [InlineData("--partition", "groups reset g --topic x --to 5")]
    [InlineData("--topic", "groups reset g --to latest")]
    [InlineData("--store", "apps query a --key k")]
    [InlineData("is not an address", "topics list --server here")]
    public async Task A_usage_error_ends_with_2(string expected, string commandLine) =>
        (await Cli.RunAsync(silo, commandLine.Split(' '))).Failed(2, expected);

    [Fact]
    public async Task Help_is_no_error()
    {
        (await Cli.RunAsync(silo, "--help")).Fine().Output.ShouldContain("consume");
        (await Cli.RunAsync(silo, "groups", "reset", "--help")).Fine().Output.ShouldContain("timestamp:T");
    }

    [Fact]
    public async Task A_server_that_is_not_there_is_told_with_how_to_start_it()
    {
        foreach (var commandLine in new[] { "topics list", "consume x", "groups list", "apps list" })
        {
            (await Cli.RunAsync("http://127.0.0.1:1", string.Empty, commandLine.Split(' '))).Failed(1, "dotnet run --project Silo");
        }

        (await Cli.RunAsync("http://127.0.0.1:1", "a:1\n", "produce", "x")).Failed(1, "dotnet run --project Silo");
    }

    [Fact]
    public async Task The_option_wins_over_the_environment() =>
        (await Cli.RunAsync("http://127.0.0.1:1", string.Empty, "topics", "list", "--server", silo.Address)).Fine();
}
