using System.Text.Json;
using EmbeddedOrleans.Storage;
using Orleans.Runtime;

namespace EmbeddedOrleans.Runtime;

/// <summary>A state that its activation reads before OnActivateAsync.</summary>
internal interface IPersistentStateFacet
{
    Task ReadStateAsync();
}

/// <summary>A grain's stored state. The value goes through JSON both ways, so that no store can share objects with the grain.</summary>
internal sealed class PersistentState<TState>(IGrainStateStore store, GrainStateAddress address) : IPersistentState<TState>, IPersistentStateFacet
{
    public TState State { get; set; } = default!;

    public string? Etag { get; private set; }

    public bool RecordExists { get; private set; }

    public async Task ReadStateAsync()
    {
        StoredGrainState? stored = await store.ReadAsync(address);
        State = stored is null ? Empty() : Deserialize(stored.Json.Span);
        Etag = stored?.Etag;
        RecordExists = stored is not null;
    }

    public async Task WriteStateAsync()
    {
        Etag = await store.WriteAsync(address, JsonSerializer.SerializeToUtf8Bytes(State), Etag);
        RecordExists = true;
    }

    public async Task ClearStateAsync()
    {
        await store.ClearAsync(address, Etag);
        State = Empty();
        Etag = null;
        RecordExists = false;
    }

    private static TState Empty() => Activator.CreateInstance<TState>();

    private TState Deserialize(ReadOnlySpan<byte> json)
    {
        try
        {
            return JsonSerializer.Deserialize<TState>(json) ?? Empty();
        }
        catch (JsonException exception)
        {
            throw new GrainStateCorruptException($"The stored state {address} isn't a {typeof(TState).Name}: {exception.Message}", exception);
        }
    }
}
