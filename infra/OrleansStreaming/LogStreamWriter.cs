using System.Threading.Channels;
using OrleansStreams.Clients;
using OrleansStreams.Records;

namespace OrleansStreams.Streaming;

/// <summary>
/// Writes records in the order in which they are handed over. Senders are grains, whose turns and request contexts must not leak into a producer that all of
/// them share: it lives on a flow of its own.
/// </summary>
internal sealed class LogStreamWriter : IDisposable
{
    private const int WaitingMax = 1024;

    private readonly Channel<Pending> _pending = Channel.CreateBounded<Pending>(new BoundedChannelOptions(WaitingMax) { SingleReader = true });
    private readonly Producer<byte[], byte[]> _producer;
    private readonly Lock _gate = new();
    private bool _isRunning;

    private readonly LogStreamTopics _topics;

    public LogStreamWriter(StreamsClient client, LogStreamTopics topics, ProducerOptions options)
    {
        _topics = topics;
        _producer = client.CreateProducer(Serdes.Bytes, Serdes.Bytes, options);
    }

    /// <summary>Writes a record; done when the log has it.</summary>
    /// <exception cref="StreamsException">What the producer answers.</exception>
    public async Task<RecordMetadata> WriteAsync(ProducerRecord<byte[], byte[]> record)
    {
        Start();
        var pending = new Pending(record, new TaskCompletionSource<RecordMetadata>(TaskCreationOptions.RunContinuationsAsynchronously));
        try
        {
            await _pending.Writer.WriteAsync(pending);
        }
        catch (ChannelClosedException)
        {
            throw new StreamsException(StreamsErrorCode.Closed, "the stream provider is stopped; send from a running silo or client", WriteOutcome.NotWritten);
        }

        return await pending.Written.Task;
    }

    public void Dispose() => _pending.Writer.TryComplete();

    private void Start()
    {
        lock (_gate)
        {
            if (_isRunning)
            {
                return;
            }

            _isRunning = true;
            if (ExecutionContext.IsFlowSuppressed())
            {
                _ = Task.Run(RunAsync);
                return;
            }

            using (ExecutionContext.SuppressFlow())
            {
                _ = Task.Run(RunAsync);
            }
        }
    }

    private async Task RunAsync()
    {
        await foreach (var pending in _pending.Reader.ReadAllAsync())
        {
            try
            {
                // Here and not at the sender, because two that wait for a topic could change places.
                await _topics.EnsureAsync(pending.Record.Topic);
                _ = SettleAsync(pending.Written, await _producer.EnqueueAsync(pending.Record));
            }
            catch (Exception error)
            {
                pending.Written.SetException(error);
            }
        }
    }

    private static async Task SettleAsync(TaskCompletionSource<RecordMetadata> written, PendingDelivery delivery)
    {
        try
        {
            written.SetResult(await delivery);
        }
        catch (Exception error)
        {
            written.SetException(error);
        }
    }

    private sealed record Pending(ProducerRecord<byte[], byte[]> Record, TaskCompletionSource<RecordMetadata> Written);
}
