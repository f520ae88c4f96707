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
    public async Task A_topic_is_changed_and_its_old_records_are_deleted()
    {
        var topic = await silo.CreateTopicAsync();
        (await Cli.RunAsync(silo, "topics", "alter", topic, "--config", "cleanup.policy=compact,delete", "--config", "min.cleanable.dirty.ratio=0.1", "--partitions", "2"))
            .Fine().Output.ShouldBe($"changed topic '{topic}'\n");
        var described = (await Cli.RunAsync(silo, "topics", "describe", topic)).Fine().Output;
        described.ShouldContain("cleanup.policy = compact,delete");
        described.ShouldContain("min.cleanable.dirty.ratio = 0.1");
        (await Cli.RunAsync(silo, "topics", "alter", topic)).Failed(2, "--config");
        (await Cli.RunAsync(silo, "topics", "alter", topic, "--config", "cleanup.policy=shred")).Failed(1, "compact,delete");
        (await Cli.RunAsync(silo, "topics", "alter", topic, "--config", "dedup.keys.max=0")).Failed(1, "dedup.keys.max cannot be 0: take 1 to 1000000");
        (await Cli.RunAsync(silo.Address, "no key\n", "produce", topic)).Failed(1, "key");

        (await Cli.RunAsync(silo.Address, "a:1\na:2\na:3\n", "produce", topic, "--partition", "0")).Fine();
        (await Cli.RunAsync(silo, "records", "delete", topic, "--partition", "0", "--before", "2")).Fine()
            .Output.ShouldBe($"'{topic}' partition 0 begins at offset 2 now\n");
        (await Cli.RunAsync(silo, "consume", topic, "--partition", "0", "--from-beginning")).Fine().Lines.ShouldBe(["a:3"]);
        (await Cli.RunAsync(silo, "records", "delete", topic, "--partition", "0", "--before", "9")).Failed(1, "9");
        (await Cli.RunAsync(silo, "records", "delete", topic, "--partition", "0")).Failed(2, "--before");
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
