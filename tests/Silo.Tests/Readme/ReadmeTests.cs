using System.Runtime.CompilerServices;
using Microsoft.Extensions.DependencyInjection;
using OrleansStreams.Clients;
using OrleansStreams.Topologies;

namespace OrleansStreams.Silo.Tests.Readme;

public sealed class ReadmeTests
{
    [Theory]
    [InlineData("example")]
    [InlineData("topology")]
    [InlineData("driver")]
    public void The_READMEs_code_is_the_code_that_is_compiled_here(string part)
    {
        var lines = File.ReadAllLines(Path.Combine(Here(), "ReadmeExample.cs")).SkipWhile(line => line.Trim() != $"// <{part}>").Skip(1).TakeWhile(line => line.Trim() != $"// </{part}>");
        var code = string.Join('\n', lines.Select(line => line.Length > 8 ? line[8..] : string.Empty)).Trim();

        code.ShouldNotBeEmpty();
        File.ReadAllText(Path.Combine(Here(), "../../../README.md")).ShouldContain(code);
    }

    [Fact]
    public async Task The_READMEs_example_runs()
    {
        await using var silo = await TestSilo.StartAsync();
        using var stop = new CancellationTokenSource();
        var seen = new List<string>();
        Console.Printed = line =>
        {
            seen.Add(line);
            if (seen.Count == 2)
            {
                stop.Cancel();
            }
        };

        var client = silo.Services.GetRequiredService<StreamsClient>();
        await Should.ThrowAsync<OperationCanceledException>(() => ReadmeExample.ProduceAndConsumeAsync(client, stop.Token).WaitAsync(TimeSpan.FromSeconds(60)));

        seen.ShouldBe(["alice paid 12 for book", "alice paid 3 for pens"]);
    }

    [Fact]
    public void The_READMEs_topology_counts_what_its_driver_pipes()
    {
        var builder = new StreamsBuilder();

        ReadmeExample.Build(builder, new ApplicationParameters(new Dictionary<string, string>()));

        builder.Build().Describe().ShouldContain("store hourly");
        ReadmeExample.Drive(builder.Build()).Select(result => (result.Key, result.Value)).ShouldBe([("alice", 12L)]);
    }

    private static string Here([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}
