using System.Globalization;
using System.Text.Json;
using OrleansStreams.ClientApp.Server;

namespace OrleansStreams.ClientApp.Records;

/// <summary>A page of one partition's records.</summary>
internal sealed record FetchedPage(int Partition, JsonElement[] Records, long NextOffset, long HighWatermark);

/// <summary>
/// Reads several partitions at once, a long poll each, for one caller: a partition's next page is asked for when its last one was taken. While following,
/// a server that is away for a moment is asked again.
/// </summary>
internal sealed class RecordFeed(StreamsServer server, string topic, bool follow) : IAsyncDisposable
{
    private const int PageRecords = 500;
    private const int WaitMs = 5_000;

    /// <summary>How often a server that is away is asked again.</summary>
    public const int RetriesMax = 30;

    /// <summary>The pause before that.</summary>
    public static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(1);

    private readonly SortedDictionary<int, Reading> readings = [];
    private readonly Queue<int> order = [];

    /// <summary>Begins to read a partition from a number, earliest, latest or timestamp:T on.</summary>
    public void Add(int partition, string offset)
    {
        readings[partition] = new Reading(offset);
        order.Enqueue(partition);
    }

    /// <summary>Stops to read a partition; a page of it that was not taken is forgotten.</summary>
    public async Task RemoveAsync(int partition)
    {
        if (readings.Remove(partition, out var reading))
        {
            await reading.EndAsync();
        }
    }

    /// <summary>The next page of any partition, or null when none came in time.</summary>
    public async Task<FetchedPage?> NextAsync(TimeSpan atMost, CancellationToken cancellation)
    {
        foreach (var (partition, reading) in readings)
        {
            reading.Page ??= FetchAsync(partition, reading);
        }

        using var timer = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var timeout = Task.Delay(atMost, timer.Token);
        await Task.WhenAny(readings.Values.Select(reading => (Task)reading.Page!).Append(timeout));
        await timer.CancelAsync();
        cancellation.ThrowIfCancellationRequested();

        // In turns, so that a partition that is always ready does not keep the others back.
        for (var left = order.Count; left > 0; left--)
        {
            var partition = order.Dequeue();
            if (!readings.TryGetValue(partition, out var reading))
            {
                continue;
            }

            order.Enqueue(partition);
            if (reading.Page is { IsCompleted: true } done)
            {
                reading.Page = null;
                var page = await done;
                reading.Offset = page.NextOffset.ToString(CultureInfo.InvariantCulture);
                return page;
            }
        }

        return null;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var partition in readings.Keys.ToArray())
        {
            await RemoveAsync(partition);
        }
    }

    private async Task<FetchedPage> FetchAsync(int partition, Reading reading)
    {
        var path = StreamsServer.Path("topics", topic, "records") + StreamsServer.Query(
            ("partition", partition.ToString(CultureInfo.InvariantCulture)),
            ("offset", reading.Offset),
            ("limit", PageRecords.ToString(CultureInfo.InvariantCulture)),
            ("maxWaitMs", follow ? WaitMs.ToString(CultureInfo.InvariantCulture) : null));
        for (var attempt = 0; ; attempt++)
        {
            try
            {
                var answer = await server.GetAsync(path, reading.Ending.Token);
                return new FetchedPage(partition, [.. answer.Items("records")], answer.Long("nextOffset"), answer.Long("highWatermark"));
            }
            catch (ServerException exception) when (follow && exception.IsRetriable && reading.HasBegun && attempt < RetriesMax)
            {
                await Task.Delay(RetryPause, reading.Ending.Token);
            }
        }
    }

    private sealed class Reading(string offset)
    {
        private string offset = offset;

        public string Offset
        {
            get => offset;
            set
            {
                offset = value;
                HasBegun = true;
            }
        }

        /// <summary>Whether a retry can repeat the request without skipping anything: the end or a time may mean another offset by then, until a first page came.</summary>
        public bool HasBegun { get; private set; } = offset == "earliest" || long.TryParse(offset, NumberStyles.None, CultureInfo.InvariantCulture, out _);

        public CancellationTokenSource Ending { get; } = new();

        public Task<FetchedPage>? Page { get; set; }

        public async Task EndAsync()
        {
            await Ending.CancelAsync();
            await (Page ?? Task.CompletedTask).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Ending.Dispose();
        }
    }
}
