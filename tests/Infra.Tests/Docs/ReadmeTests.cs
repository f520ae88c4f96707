using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Silo.Http.Metrics;

namespace OrleansStreams.Infra.Tests.Docs;

/// <summary>What infra/README.md names is there.</summary>
public sealed partial class ReadmeTests
{
    private static readonly string Text = Repository.Read("infra/README.md");

    [Fact]
    public void What_the_page_names_exists() => Faults(Text).ShouldBeEmpty();

    [Theory]
    [InlineData("streams_produce_requests_total", "streams_produced_total", "streams_produced_total is no metric")]
    [InlineData("streams_task_records_late_total", "", "streams_task_records_late_total is not explained")]
    [InlineData("`streams_activations_moved_total`", "", "streams_activations_moved_total is not explained")]
    [InlineData("STREAMS_MIGRATE", "STREAMS_MIGRATION", "STREAMS_MIGRATION is no setting of the silo")]
    [InlineData("--postgres-patience-ms", "--postgres-patience", "--postgres-patience is no option")]
    [InlineData("local.sh kill 2", "local.sh murder 2", "local.sh has no command murder")]
    [InlineData("/health/ready", "/ready", "/ready is no route")]
    [InlineData("`batches`, `segments`", "`batches`", "the table segments is not mentioned")]
    [InlineData("infra/docker/compose.yaml", "infra/compose.yaml", "infra/compose.yaml is not there")]
    public void A_name_that_went_stale_is_found(string right, string wrong, string told) =>
        Faults(Repository.Planted(Text, right, wrong)).ShouldContain(told);

    private static List<string> Faults(string text) => [.. Metrics(text), .. Settings(text), .. Commands(text), .. Routes(text), .. Tables(text), .. Files(text)];

    private static IEnumerable<string> Metrics(string text)
    {
        var named = Names(text, Metric());
        using var collector = new MetricsCollector(NullLogger<MetricsCollector>.Instance);

        // A meter's instruments are there once somebody has touched it.
        foreach (var meter in typeof(OrleansStreams.Log.StreamsOptions).Assembly.GetTypes().Where(type => type.Name.EndsWith("Meter", StringComparison.Ordinal)))
        {
            RuntimeHelpers.RunClassConstructor(meter.TypeHandle);
        }

        // Those of a cluster are made by its services, and are in one of the two builds only: they are read where they are written.
        List<string> known = [.. Names(collector.Scrape(), Family()), .. ClusterInstruments()];
        return named.Where(name => name.StartsWith("streams_", StringComparison.Ordinal)).Except(known).Select(name => $"{name} is no metric")
            .Concat(named.Where(name => name.StartsWith("dotnet_", StringComparison.Ordinal)).Except(known).Select(name => $"{name} is no metric"))
            .Concat(known.Where(name => name.StartsWith("streams_", StringComparison.Ordinal)).Except(named).Select(name => $"{name} is not explained"));
    }

    private static IEnumerable<string> ClusterInstruments() => Directory.GetFiles(Repository.PathOf("Silo/Hosting/Orleans"), "*.cs")
        .SelectMany(file => Instrument().Matches(File.ReadAllText(file)))
        .Select(made => made.Groups[2].Value.Replace('.', '_') + (made.Groups[1].Value == "Counter" ? "_total" : string.Empty));

    private static IEnumerable<string> Settings(string text) =>
        Names(text, Variable()).SelectMany(name => SiloFacts.FaultsOf(new Dictionary<string, string> { [name] = "off" }))
            .Concat(Names(text, Option()).Where(option => !SiloFacts.HasOption(option)).Select(option => $"--{option} is no option"));

    private static IEnumerable<string> Commands(string text)
    {
        var script = Repository.Read("infra/cluster/local.sh");
        return Names(text, Command()).Where(command => command != "help" && !script.Contains($"do_{command}()", StringComparison.Ordinal)).Select(command => $"local.sh has no command {command}");
    }

    private static IEnumerable<string> Routes(string text) => Names(text, Route()).Where(path => !SiloFacts.HasRoute(path)).Select(path => $"{path} is no route");

    private static IEnumerable<string> Tables(string text) => Directory.GetFiles(Repository.PathOf("infra/postgres"), "*.sql")
        .SelectMany(file => Names(File.ReadAllText(file), Table())).Where(table => !text.Contains($"`{table.ToLowerInvariant()}`", StringComparison.Ordinal))
        .Select(table => $"the table {table} is not mentioned");

    private static IEnumerable<string> Files(string text) =>
        Names(text, RepositoryPath()).Where(path => !Path.Exists(Repository.PathOf(path)) && !path.EndsWith("/.env", StringComparison.Ordinal)).Select(path => $"{path} is not there");

    private static List<string> Names(string text, Regex pattern) => [.. pattern.Matches(text).Select(match => match.Groups[1].Value).Distinct()];

    [GeneratedRegex(@"`((?:streams|dotnet|http)_[a-z_]+)`")]
    private static partial Regex Metric();

    [GeneratedRegex("\\.Create(Counter|ObservableGauge)(?:<[a-z]+>)?\\(\"(streams\\.[a-z.]+)\"")]
    private static partial Regex Instrument();

    [GeneratedRegex(@"# TYPE (\S+)")]
    private static partial Regex Family();

    // STREAMS_SERVER is the command line's.
    [GeneratedRegex(@"(STREAMS_(?!SERVER=)[A-Z_]+)=")]
    private static partial Regex Variable();

    // In backquotes, alone: an option of the silo. Those of other programs stand in their commands.
    [GeneratedRegex(@"`--([a-z-]+)`")]
    private static partial Regex Option();

    [GeneratedRegex(@"local\.sh ([a-z]+)")]
    private static partial Regex Command();

    [GeneratedRegex(@"`(/[a-z/]+)`")]
    private static partial Regex Route();

    [GeneratedRegex(@"CREATE TABLE (\w+)")]
    private static partial Regex Table();

    [GeneratedRegex(@"(?:^|[ \]])((?:infra|tests)/[A-Za-z./-]+[a-zA-Z])", RegexOptions.Multiline)]
    private static partial Regex RepositoryPath();
}
