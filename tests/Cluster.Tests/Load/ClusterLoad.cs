using System.Diagnostics;
using OrleansStreams.Clients;
using OrleansStreams.Tests.Cluster;

namespace OrleansStreams.Cluster.Tests.Load;

/// <summary>Idempotent producers and a group of consumers that work through an external client while the cluster is hurt, and the account of what they were told.</summary>
internal sealed class ClusterLoad : IAsyncDisposable
{
    public const string Topic = "orders";
    public const int Partitions = 12;
    private const string Group = "readers";
    private const int ProducerCount = 3;
    private const int ReaderCount = 3;

    // Tells a hang.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    private readonly StreamsClient _client;
    private readonly Changes _changes = new();
    private readonly GroupWitness _witness;
    private readonly OffsetWatcher _watcher;
    private readonly NumberedProducer[] _producers;
    private readonly CancellationTokenSource _stopProducing = new();
    private readonly CancellationTokenSource _stopReading = new();
    private readonly Task[] _producing;
    private readonly Task[] _reading;

    private ClusterLoad(StreamsClient client)
    {
        _client = client;
        _witness = new GroupWitness(Partitions, _changes);
        _watcher = new OffsetWatcher(client, Group, Partitions, _witness);
        _producers = [.. Enumerable.Range(0, ProducerCount).Select(number => new NumberedProducer(client, Topic, number, Partitions, _changes))];
        _producing = [.. _producers.Select(producer => RunAsync(producer.RunAsync, _stopProducing.Token))];
        var readers = Enumerable.Range(0, ReaderCount).Select(_ => new GroupReader(client, Topic, Group, _witness));
        _reading = [.. readers.Select(reader => RunAsync(reader.RunAsync, _stopReading.Token)), RunAsync(_watcher.RunAsync, _stopReading.Token)];
    }

    private IEnumerable<Stored> Acknowledged => _producers.SelectMany(producer => producer.Acknowledged);

    public static async Task<ClusterLoad> StartAsync(StreamsClient client)
    {
        await client.Admin.CreateTopicAsync(Topic, Partitions);
        return new ClusterLoad(client);
    }

    /// <summary>Waits until every partition has acknowledged a record that was sent from now on, and the group has read it; answers how long the acknowledgements took.</summary>
    public async Task<TimeSpan> ServedAsync()
    {
        var began = Stopwatch.GetTimestamp();
        await UntilAsync(partition => _producers.Any(producer => producer.ServedSince(partition) >= began), "no acknowledgement");
        var elapsed = Stopwatch.GetElapsedTime(began);
        var ends = Ends();
        await UntilAsync(partition => _witness.ReadTo(partition) >= ends[partition], "the group does not read on");
        return elapsed;
    }

    /// <summary>Ends the load and checks all that is promised; answers what was done, for people.</summary>
    public async Task<string> CheckAsync()
    {
        await _stopProducing.CancelAsync();
        await Task.WhenAll(_producing).WaitAsync(Patience);
        var ends = Ends();
        await UntilAsync(partition => _witness.ReadTo(partition) >= ends[partition], "the group does not read to the end");
        await _stopReading.CancelAsync();
        await Task.WhenAll(_reading).WaitAsync(Patience);
        await _watcher.LookAsync(CancellationToken.None);

        var log = await _client.ReadAllAsync(Topic, Partitions);
        var read = _witness.Records.Select(record => new Stored(record.Key.Partition, record.Key.Offset, record.Value));
        LogCheck.Violations(log, Acknowledged, read).ShouldBeEmpty();
        _witness.Wrong.ShouldBeEmpty();
        log.Where(record => !_witness.Records.ContainsKey((record.Partition, record.Offset))).ShouldBeEmpty("stands in the topic, but the group did not read it");
        Enumerable.Range(0, Partitions).ShouldContain(partition => _witness.Committed(partition) > 0, "the group has committed nothing");
        return $"{Acknowledged.Count()} records acknowledged, {log.Count} there, {_witness.Records.Count} read by the group, its offsets looked at {_watcher.Looks} times";
    }

    public async ValueTask DisposeAsync()
    {
        await _stopProducing.CancelAsync();
        await _stopReading.CancelAsync();

        // When a test fails the cluster may be beyond answering; what still tries ends with the client.
        await Task.WhenAny(Task.WhenAll([.. _producing, .. _reading]), Task.Delay(TimeSpan.FromSeconds(2)));
        _stopProducing.Dispose();
        _stopReading.Dispose();
    }

    /// <summary>Behind the last acknowledged record of each partition.</summary>
    private Dictionary<int, long> Ends()
    {
        var ends = Acknowledged.GroupBy(record => record.Partition).ToDictionary(records => records.Key, records => records.Max(record => record.Offset) + 1);
        return Enumerable.Range(0, Partitions).ToDictionary(partition => partition, partition => ends.GetValueOrDefault(partition));
    }

    private async Task RunAsync(Func<CancellationToken, Task> work, CancellationToken stop)
    {
        try
        {
            await Task.Yield();
            await work(stop);
        }
        finally
        {
            _changes.Tell();
        }
    }

    private Task UntilAsync(Func<int, bool> holds, string otherwise) => _changes.UntilAsync(
        () =>
        {
            // A client that failed is the finding, not that the others wait.
            Array.Find([.. _producing, .. _reading], client => client.IsFaulted)?.GetAwaiter().GetResult();
            return Enumerable.Range(0, Partitions).All(holds);
        },
        Patience,
        () => $"{otherwise}, partitions {string.Join(", ", Enumerable.Range(0, Partitions).Where(partition => !holds(partition)))} of {Topic}");
}
