using System.Diagnostics;
using OrleansStreams.Clients;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Cluster;

/// <summary>
/// Produces to every partition of a topic, one record at a time, and measures how long after a fault the last partition acknowledges a record that was
/// sent after it. Producer and client are as the product configures them.
/// </summary>
internal sealed class FailoverProbe : IAsyncDisposable
{
    // Tells a hang; what is slow is measured.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(5);

    private readonly CancellationTokenSource _ending = new();
    private readonly Changes _changes = new();
    private readonly Lock _gate = new();
    private readonly Producer<string, string> _producer;
    private readonly string _topic;
    private readonly long[] _acknowledged;
    private readonly Task[] _loops;
    private long _began;
    private TimeSpan _slowest;

    private FailoverProbe(StreamsClient client, string topic, int partitions)
    {
        _topic = topic;
        _producer = client.CreateProducer(Serdes.Utf8, Serdes.Utf8);
        _acknowledged = new long[partitions];
        _loops = [.. Enumerable.Range(0, partitions).Select(ProduceAsync)];
    }

    /// <summary>
    /// The longest that a record waited for its acknowledgement since the last measurement began. A silo that is told to stop serves for a moment more, so that this,
    /// and not the first acknowledgement, says how long a partition was away.
    /// </summary>
    public TimeSpan Slowest
    {
        get
        {
            lock (_gate)
            {
                return _slowest;
            }
        }
    }

    /// <summary>Creates the topic and begins to produce; returns when every partition has acknowledged.</summary>
    public static async Task<FailoverProbe> StartAsync(StreamsClient client, string topic, int partitions)
    {
        await client.Admin.CreateTopicAsync(topic, partitions);
        var probe = new FailoverProbe(client, topic, partitions);
        await probe.MeasureAsync(() => { });
        return probe;
    }

    /// <summary>Does something to the cluster; answers how long it took from then to the first acknowledgement by every partition of a record that was sent after it.</summary>
    public async Task<TimeSpan> MeasureAsync(Action fault)
    {
        lock (_gate)
        {
            Array.Clear(_acknowledged);
            _began = Stopwatch.GetTimestamp();
            _slowest = TimeSpan.Zero;
        }

        fault();
        await _changes.UntilAsync(
            () =>
            {
                Array.Find(_loops, loop => loop.IsFaulted)?.GetAwaiter().GetResult();
                lock (_gate)
                {
                    return Array.TrueForAll(_acknowledged, at => at != 0);
                }
            },
            Patience,
            () => $"not acknowledged by the partitions {string.Join(", ", _acknowledged.Index().Where(partition => partition.Item == 0).Select(partition => partition.Index))} of {_topic}");
        lock (_gate)
        {
            return Stopwatch.GetElapsedTime(_began, _acknowledged.Max());
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync();
        await Task.WhenAll(_loops).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _producer.DisposeAsync();
        _ending.Dispose();
    }

    private async Task ProduceAsync(int partition)
    {
        await Task.Yield();
        try
        {
            while (!_ending.IsCancellationRequested)
            {
                var sent = Stopwatch.GetTimestamp();
                await _producer.ProduceAsync(new ProducerRecord<string, string>(_topic, null, "probe") { Partition = partition });
                lock (_gate)
                {
                    var waited = Stopwatch.GetElapsedTime(Math.Max(sent, _began));
                    _slowest = waited > _slowest ? waited : _slowest;
                    if (sent >= _began && _acknowledged[partition] == 0)
                    {
                        _acknowledged[partition] = Stopwatch.GetTimestamp();
                    }
                }

                _changes.Tell();
                await Task.Delay(Pause, _ending.Token);
            }
        }
        catch (OperationCanceledException) when (_ending.IsCancellationRequested)
        {
            // The end.
        }
        finally
        {
            _changes.Tell();
        }
    }
}
