using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Clients;

/// <summary>A topic's partitions as a producer sees them. Looks for more of them as it is used; the senders that it has stay.</summary>
internal sealed class TopicSenders
{
    private readonly IGrainFactory _grains;
    private readonly ProducerOptions _options;
    private readonly ClientRetry _retry;
    private readonly BufferMemory _memory;
    private readonly Func<Task<long>> _newProducerId;
    private readonly string _topic;
    private volatile PartitionSender[] _senders = [];
    private long _lookedAt;
    private int _isLooking;
    private long _stickyBytes;
    private int _sticky;

    public TopicSenders(
        TopicDescription topic, IGrainFactory grains, ProducerOptions options, ClientRetry retry, BufferMemory memory, Func<Task<long>> newProducerId)
    {
        _grains = grains;
        _retry = retry;
        _memory = memory;
        _newProducerId = newProducerId;
        _topic = topic.Name;
        _lookedAt = retry.Time.GetTimestamp();

        // A full batch must not be more than the topic takes.
        _options = options.BatchBytes <= topic.Config.MaxMessageBytes ? options : options with { BatchBytes = topic.Config.MaxMessageBytes };
        Grow(topic.PartitionCount);
    }

    public string Topic => _topic;

    public IReadOnlyList<PartitionSender> Senders => _senders;

    /// <summary>
    /// The given partition, else the key's, else the idempotency key's, else the sticky one: it changes whenever it was given a batch's worth of bytes
    /// (KIP-794's rule).
    /// </summary>
    public PartitionSender SenderFor(int? partition, ReadOnlySpan<byte> key, bool keyIsNull, IReadOnlyList<RecordHeader>? headers, long bytes)
    {
        var senders = _senders;
        if (partition is { } given)
        {
            return (uint)given < (uint)senders.Length
                ? senders[given]
                : throw new StreamsException(StreamsErrorCode.UnknownTopicOrPartition, $"topic {_topic} has the partitions 0 to {senders.Length - 1}, not {given}", WriteOutcome.NotWritten);
        }

        if (senders.Length == 1)
        {
            return senders[0];
        }

        if (!keyIsNull)
        {
            return senders[KeyHash.PartitionFor(key, senders.Length)];
        }

        if (headers is not null && IdempotencyKey.TryFind(headers, out var idempotencyKey))
        {
            return senders[KeyHash.PartitionFor(idempotencyKey.Span, senders.Length)];
        }

        if (Interlocked.Add(ref _stickyBytes, bytes) >= _options.BatchBytes)
        {
            Interlocked.Exchange(ref _stickyBytes, 0);
            Interlocked.Increment(ref _sticky);
        }

        return senders[(uint)Volatile.Read(ref _sticky) % (uint)senders.Length];
    }

    private void Grow(int partitionCount)
    {
        var senders = _senders;
        if (partitionCount > senders.Length)
        {
            _senders = [.. senders, .. Enumerable.Range(senders.Length, partitionCount - senders.Length).Select(CreateSender)];
        }
    }

    private PartitionSender CreateSender(int number)
    {
        var partition = new TopicPartition(_topic, number);
        return new PartitionSender(partition, _grains.GetGrain<IPartitionGrain>(partition.GrainKey), _options, _retry, _memory, _newProducerId, OnBatchOpened);
    }

    /// <summary>Called once per batch, which is often enough and costs nothing per record.</summary>
    private void OnBatchOpened(long now)
    {
        if (_retry.Time.GetElapsedTime(Volatile.Read(ref _lookedAt), now) >= TimeSpan.FromMilliseconds(_options.MetadataMaxAgeMs) && Interlocked.Exchange(ref _isLooking, 1) == 0)
        {
            _ = LookAsync();
        }
    }

    private async Task LookAsync()
    {
        try
        {
            Grow((await _grains.GetGrain<ITopicGrain>(_topic).DescribeAsync()).PartitionCount);
        }
        catch (Exception)
        {
            // Looked at again when the next age is over; whether the topic can be written to, its partitions say.
        }
        finally
        {
            Volatile.Write(ref _lookedAt, _retry.Time.GetTimestamp());
            Volatile.Write(ref _isLooking, 0);
        }
    }
}
