namespace EmbeddedOrleans.Storage;

/// <summary>Keeps states in memory, as bytes: what a grain changes after a write doesn't reach the stored copy.</summary>
internal sealed class MemoryGrainStateStore : IGrainStateStore
{
    private readonly Lock _lock = new();
    private readonly Dictionary<GrainStateAddress, StoredGrainState> _states = [];

    // Tags go on after a clear, so that a stale writer never meets its own tag again.
    private readonly Dictionary<GrainStateAddress, string> _lastEtags = [];

    public ValueTask<StoredGrainState?> ReadAsync(GrainStateAddress address)
    {
        lock (_lock)
        {
            return new(_states.GetValueOrDefault(address));
        }
    }

    public ValueTask<string> WriteAsync(GrainStateAddress address, ReadOnlyMemory<byte> json, string? expectedEtag)
    {
        lock (_lock)
        {
            Etags.Check(address, _states.GetValueOrDefault(address)?.Etag, expectedEtag);
            string etag = Etags.Next(_lastEtags.GetValueOrDefault(address));
            _states[address] = new StoredGrainState(json.ToArray(), etag);
            _lastEtags[address] = etag;
            return new(etag);
        }
    }

    public ValueTask ClearAsync(GrainStateAddress address, string? expectedEtag)
    {
        lock (_lock)
        {
            Etags.Check(address, _states.GetValueOrDefault(address)?.Etag, expectedEtag);
            _states.Remove(address);
            return default;
        }
    }
}
