using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using OrleansStreams.Groups;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Clients;

/// <summary>
/// Reads records, as a member of a group (<see cref="Subscribe"/>) or from given partitions (<see cref="Assign"/>). Not safe for concurrent use: seek,
/// pause and commit from the body of the loop. Made by <see cref="StreamsClient.CreateConsumer{TKey, TValue}"/>.
/// </summary>
public sealed class Consumer<TKey, TValue> : IAsyncDisposable
{
    private readonly ConsumerPartitions _partitions;
    private bool _iterating;

    internal Consumer(IGrainFactory grains, ClientRetry retry, ConsumerOptions options, IDeserializer<TKey> keyDeserializer, IDeserializer<TValue> valueDeserializer)
    {
        options.Validate();
        KeyDeserializer = keyDeserializer;
        ValueDeserializer = valueDeserializer;
        _partitions = new ConsumerPartitions(grains, retry, options);
    }

    /// <summary>The partitions that this consumer reads now.</summary>
    public IReadOnlyList<TopicPartition> Assignment => _partitions.Owned;

    /// <summary>Called with the partitions that are about to be given up, before they are; the place to commit by hand.</summary>
    public Func<IReadOnlyList<TopicPartition>, Task>? PartitionsRevoked
    {
        get => _partitions.Revoking;
        set => _partitions.Revoking = value;
    }

    internal IDeserializer<TKey> KeyDeserializer { get; }

    internal IDeserializer<TValue> ValueDeserializer { get; }

    internal ConsumerPartitions Partitions => _partitions;

    /// <summary>Joins the group for topics; the group assigns partitions while <see cref="ConsumeAsync"/> runs.</summary>
    /// <exception cref="StreamsException">InvalidRequest without a group id, without topics, or after another Subscribe or Assign.</exception>
    public void Subscribe(params string[] topics) => _partitions.Subscribe([.. topics.Distinct().Order(StringComparer.Ordinal)]);

    /// <summary>Reads partitions without a group's assignment.</summary>
    /// <exception cref="StreamsException">InvalidRequest after another Subscribe or Assign, or for a committed start without a group id.</exception>
    public void Assign(params (TopicPartition Partition, StartPosition Start)[] partitions) => _partitions.Assign(partitions);

    /// <summary>
    /// Reads until cancelled. Asking for the next record says that the last one is finished; automatic commits cover finished records only. Control
    /// records are left out. May be called again after it ended, also by a failure: it goes on behind the last finished record, or, when
    /// the membership of the group failed, joins anew and goes on where the group has committed.
    /// </summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition, OffsetOutOfRange (with <see cref="AutoOffsetReset.Error"/>), SerializationFailed (seek past
    /// the record to go on), CorruptBatch, and what the group answers.</exception>
    public IAsyncEnumerable<ConsumeResult<TKey, TValue>> ConsumeAsync(CancellationToken cancellationToken = default) => new RecordStream<TKey, TValue>(this, cancellationToken);

    /// <summary>Like <see cref="ConsumeAsync"/>, with batches as they are stored: no record is decoded. Asking for the next says that the last batches are finished.</summary>
    public async IAsyncEnumerable<ConsumedBatches> ConsumeBatchesAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        Begin();
        FetchedChunk? chunk = null;
        try
        {
            while (true)
            {
                chunk = await _partitions.NextChunkAsync(cancellationToken);
                yield return new ConsumedBatches(chunk.From!.Partition, chunk.Batches, chunk.FirstOffset, chunk.NextOffset);
                ConsumerPartitions.Finished(chunk);
                chunk = null;
            }
        }
        finally
        {
            End(chunk);
        }
    }

    /// <summary>Commits the positions of all partitions that are read: everything finished.</summary>
    /// <exception cref="StreamsException">InvalidRequest without a group id; FencedMemberEpoch or UnknownMemberId when the partitions belong to others by now.</exception>
    public Task CommitAsync(CancellationToken cancellationToken = default) => _partitions.CommitAsync(_partitions.Uncommitted(), cancellationToken);

    /// <summary>Commits given offsets: the next offset to read.</summary>
    /// <exception cref="StreamsException">As <see cref="CommitAsync(CancellationToken)"/>; IllegalGeneration for a partition that this member does not own.</exception>
    public Task CommitAsync(ImmutableArray<CommittedOffset> offsets, CancellationToken cancellationToken = default) => _partitions.CommitAsync(offsets, cancellationToken);

    /// <summary>The offset after the last finished record of a partition.</summary>
    /// <exception cref="StreamsException">InvalidRequest for a partition that is not read.</exception>
    public long PositionOf(TopicPartition partition) => _partitions.PositionOf(partition);

    /// <summary>Goes on at an offset.</summary>
    /// <exception cref="StreamsException">InvalidRequest for a partition that is not read; OffsetOutOfRange for a negative offset.</exception>
    public void Seek(TopicPartition partition, long offset) => _partitions.Seek(partition, offset);

    /// <summary>Stops reading a partition, keeping it.</summary>
    /// <exception cref="StreamsException">InvalidRequest for a partition that is not read.</exception>
    public void Pause(TopicPartition partition) => _partitions.Pause(partition, paused: true);

    /// <summary>Goes on with a paused partition.</summary>
    /// <exception cref="StreamsException">InvalidRequest for a partition that is not read.</exception>
    public void Resume(TopicPartition partition) => _partitions.Pause(partition, paused: false);

    /// <summary>Commits what is finished (with automatic commit) and leaves the group.</summary>
    public ValueTask DisposeAsync() => _partitions.DisposeAsync();

    /// <summary>A loop begins.</summary>
    internal void Begin()
    {
        if (_iterating)
        {
            throw new StreamsException(StreamsErrorCode.InvalidRequest, "the consumer is being iterated already; one loop at a time");
        }

        _iterating = true;
        _partitions.Start();
    }

    /// <summary>A loop ends, perhaps in the middle of a chunk.</summary>
    internal void End(FetchedChunk? chunk)
    {
        _iterating = false;
        _partitions.Abandon(chunk);
    }
}
