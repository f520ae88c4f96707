using System.Text.Json;
using EmbeddedOrleans.Storage;
using Orleans;
using Orleans.Runtime;
using Orleans.Storage;

namespace OrleansStreams.Hosts;

/// <summary>Grain state as JSON in a test's store.</summary>
internal sealed class OrleansStateStorage(IGrainStateStore store) : IGrainStorage
{
    public async Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        var stored = await store.ReadAsync(AddressOf(stateName, grainId));
        grainState.State = stored is null ? Activator.CreateInstance<T>() : JsonSerializer.Deserialize<T>(stored.Json.Span)!;
        grainState.ETag = stored?.Etag;
        grainState.RecordExists = stored is not null;
    }

    public async Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        // Made into JSON before the first await: the grain may change its state meanwhile.
        var json = JsonSerializer.SerializeToUtf8Bytes(grainState.State);
        grainState.ETag = await store.WriteAsync(AddressOf(stateName, grainId), json, grainState.ETag);
        grainState.RecordExists = true;
    }

    public async Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        await store.ClearAsync(AddressOf(stateName, grainId), grainState.ETag);
        grainState.State = Activator.CreateInstance<T>();
        grainState.ETag = null;
        grainState.RecordExists = false;
    }

    private static GrainStateAddress AddressOf(string stateName, GrainId grainId) => new(grainId.Type.ToString()!, grainId.Key.ToString()!, stateName);
}
