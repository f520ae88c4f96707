using OrleansStreams.Records;

namespace OrleansStreams.Clients;

/// <summary>What <see cref="Consumer{TKey, TValue}.ConsumeAsync"/> answers: enumerating it is the loop.</summary>
internal sealed class RecordStream<TKey, TValue>(Consumer<TKey, TValue> consumer, CancellationToken given) : IAsyncEnumerable<ConsumeResult<TKey, TValue>>
{
    public IAsyncEnumerator<ConsumeResult<TKey, TValue>> GetAsyncEnumerator(CancellationToken cancellationToken = default)
    {
        if (!given.CanBeCanceled || !cancellationToken.CanBeCanceled || given == cancellationToken)
        {
            return new RecordEnumerator<TKey, TValue>(consumer, linked: null, given.CanBeCanceled ? given : cancellationToken);
        }

        // Given once to the method and once by WithCancellation: either ends the loop.
        var linked = CancellationTokenSource.CreateLinkedTokenSource(given, cancellationToken);
        return new RecordEnumerator<TKey, TValue>(consumer, linked, linked.Token);
    }
}

/// <summary>
/// The loop over records. Records are decoded a block at a time, small enough to stay in the processor's cache; moving within a block completes at once, so
/// that a record costs neither an allocation nor an async state machine (an async iterator costs about 100 ns a record, this about 10).
/// </summary>
internal sealed class RecordEnumerator<TKey, TValue>(Consumer<TKey, TValue> consumer, CancellationTokenSource? linked, CancellationToken cancellationToken)
    : IAsyncEnumerator<ConsumeResult<TKey, TValue>>
{
    private static readonly IReadOnlyList<RecordHeader> s_none = [];

    private readonly ConsumerPartitions _partitions = consumer.Partitions;
    private readonly RecordBlock<TKey, TValue> _block = new(consumer.KeyDeserializer, consumer.ValueDeserializer);
    private FetchedChunk? _chunk;
    private int _index = -1;
    private bool _begun;
    private bool _ended;

    public ConsumeResult<TKey, TValue> Current
    {
        get
        {
            ref readonly var record = ref _block[_index];
            return new ConsumeResult<TKey, TValue>(_chunk!.From!.Partition, record.Offset, record.Timestamp, record.Key, record.Value, record.Headers ?? s_none);
        }
    }

    public ValueTask<bool> MoveNextAsync()
    {
        var index = _index;
        if (index >= 0 && index + 1 < _block.Count && _partitions.TryFinish(_chunk!, _block[index].Offset + 1))
        {
            _index = index + 1;
            return new ValueTask<bool>(true);
        }

        return MoveSlowlyAsync();
    }

    public ValueTask DisposeAsync()
    {
        End();
        return ValueTask.CompletedTask;
    }

    private async ValueTask<bool> MoveSlowlyAsync()
    {
        if (_ended)
        {
            return false;
        }

        try
        {
            if (!_begun)
            {
                consumer.Begin();
                _begun = true;
            }

            if (_index >= 0)
            {
                await _partitions.FinishedAsync(_chunk!, _block[_index].Offset + 1, cancellationToken);
            }

            while (!MoveInChunk())
            {
                _chunk = null;
                _chunk = await _partitions.NextChunkAsync(cancellationToken);
                _block.Open(_chunk);
                _index = -1;
            }

            return true;
        }
        catch
        {
            End();
            throw;
        }
    }

    /// <summary>Goes to the chunk's next record; false when there is none or the chunk counts no more.</summary>
    private bool MoveInChunk()
    {
        if (_chunk is null || !_chunk.From!.IsCurrent)
        {
            return false;
        }

        if (_index + 1 >= _block.Count)
        {
            if (!_block.ReadNext())
            {
                ConsumerPartitions.Finished(_chunk);
                return false;
            }

            _index = -1;
        }

        _index++;
        return true;
    }

    private void End()
    {
        if (_ended)
        {
            return;
        }

        _ended = true;
        _index = -1;
        _block.Clear();
        if (_begun)
        {
            consumer.End(_chunk);
        }

        _chunk = null;
        linked?.Dispose();
    }
}
