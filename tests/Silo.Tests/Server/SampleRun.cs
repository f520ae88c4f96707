namespace OrleansStreams.Silo.Tests.Server;

/// <summary>The sample application on a server: how far it is, and what it wrote.</summary>
internal static class SampleRun
{
    private const int Partitions = 4;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    /// <summary>Waits for the end of the input; the server's long poll for windows paces the questions.</summary>
    public static async Task CompletedAsync(SiloProcess silo)
    {
        using var patience = new CancellationTokenSource(Patience);
        while ((await silo.GetAsync("/apps/flight-delays", patience.Token)).GetProperty("state").GetString() is var state && state != "Completed")
        {
            state.ShouldNotBe("Failed");
            await WaitForWindowAsync(silo, "latest", patience.Token);
        }
    }

    /// <summary>Waits for the first window that was written.</summary>
    public static async Task FirstWindowAsync(SiloProcess silo)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (!await WaitForWindowAsync(silo, "earliest", patience.Token))
        {
        }
    }

    /// <summary>The values of all records of a topic, sorted.</summary>
    public static async Task<List<string>> ValuesAsync(SiloProcess silo, string topic)
    {
        var values = new List<string>();
        for (var partition = 0; partition < Partitions; partition++)
        {
            values.AddRange((await silo.ReadAllAsync(topic, partition)).Select(record => record.Value));
        }

        values.Sort(StringComparer.Ordinal);
        return values;
    }

    private static async Task<bool> WaitForWindowAsync(SiloProcess silo, string from, CancellationToken cancellation)
    {
        using var response = await silo.Http.GetAsync($"/topics/delays-by-airport/records?partition=0&offset={from}&limit=1&maxWaitMs=200", cancellation);
        return response.IsSuccessStatusCode && (await response.Content.ReadAsStringAsync(cancellation)).Contains("\"value\"", StringComparison.Ordinal);
    }
}
