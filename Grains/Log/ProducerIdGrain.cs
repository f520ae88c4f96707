namespace OrleansStreams.Log;

/// <summary>Hands out producer ids. Sets a block aside durably before it gives out the first of it, so a crash skips ids but never repeats one.</summary>
internal sealed class ProducerIdGrain([PersistentState("producer-ids", "streams")] IPersistentState<ProducerIdState> state) : Grain, IProducerIdGrain
{
    private const int BlockSize = 1000;

    private long _next;
    private long _blockEnd;

    public async Task<long> AllocateAsync()
    {
        if (_next == _blockEnd)
        {
            var first = state.State.NextId;
            await state.ReplaceAsync(new ProducerIdState { NextId = first + BlockSize }, DeactivateOnIdle);
            _next = first;
            _blockEnd = first + BlockSize;
        }

        return _next++;
    }
}
