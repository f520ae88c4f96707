using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace OrleansStreams.Cluster.Tests.Samples;

/// <summary>The sample microservices as a user runs them, around a silo that is killed and started again.</summary>
[Collection(ProcessCollection.Name)]
public sealed partial class SampleTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task The_services_go_on_by_themselves_when_the_only_silo_is_killed_and_started_again()
    {
        await using var cluster = await TestCluster.CreateAsync();
        var (siloPort, gatewayPort, viewPort) = (ProgramProcess.FreePort(), ProgramProcess.FreePort(), ProgramProcess.FreePort());
        var silo = await StartAsync();
        var producer = cluster.Run("OrderProducer", cluster.ClientVariables);
        var consumer = cluster.Run("OrderConsumer", cluster.ClientVariables);
        var view = cluster.Run("OrderView", cluster.ClientVariables, "--urls", $"http://127.0.0.1:{viewPort}");
        using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{viewPort}"), Timeout = Patience };
        await consumer.UntilAsync(lines => Bills(lines).Count() >= 20);
        await UntilSpentAsync(http, 6 * 1200);

        await silo.KillAsync();
        var sent = producer.Lines.Count;
        await StartAsync();
        await producer.UntilAsync(lines => lines.Count >= sent + 50);
        var acknowledged = Orders(producer.Lines).ToList();
        acknowledged.ShouldBe(Enumerable.Range(1, acknowledged.Count), "one after the other");
        await consumer.UntilAsync(lines => acknowledged.All(Bills(lines).ToHashSet().Contains), "bill all acknowledged orders");
        await UntilSpentAsync(http, acknowledged.Count(number => number % 3 == 0) * 1200);

        Task<ProgramProcess> StartAsync() => cluster.StartSiloAsync("OrderSilo", "The application spending is running", siloPort, gatewayPort);
    }

    private static IEnumerable<int> Orders(IEnumerable<string> lines) => Numbers(lines, "order ([0-9]+) of ");

    private static IEnumerable<int> Bills(IEnumerable<string> lines) => Numbers(lines, "order ([0-9]+), ");

    private static IEnumerable<int> Numbers(IEnumerable<string> lines, string pattern) =>
        lines.Select(line => Regex.Match(line, pattern)).Where(match => match.Success).Select(match => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture));

    /// <summary>Waits until the view shows that Alice has spent so much at least.</summary>
    private static async Task UntilSpentAsync(HttpClient http, long cents)
    {
        using var patience = new CancellationTokenSource(Patience);
        var answer = "none";
        while (true)
        {
            patience.IsCancellationRequested.ShouldBeFalse($"the view never showed {cents} cents: {answer}");
            try
            {
                using var response = await http.GetAsync(new Uri("/customers/alice", UriKind.Relative), patience.Token);
                answer = await response.Content.ReadAsStringAsync(patience.Token);
                if (response.IsSuccessStatusCode && JsonDocument.Parse(answer).RootElement.EnumerateArray().Sum(minute => minute.GetProperty("cents").GetInt64()) >= cents)
                {
                    return;
                }
            }
            catch (HttpRequestException)
            {
                // It does not listen yet.
            }

            await Task.Delay(100, CancellationToken.None);
        }
    }
}
