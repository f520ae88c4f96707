using System.Text.Json;
using EmbeddedOrleans.Storage;
using Orleans.Storage;

namespace OrleansStreams.Silo.Hosting;

/// <summary>
/// The state of the product's own grains, in the same files or table and by the same code as in the embedded host: a data folder or a schema can change
/// hands between the two builds. Not Orleans' AdoNet storage, which takes a string key that looks like a number for one: topics "a", "A" and "0a" would
/// share a state there; nor does it know what became of a write whose connection was lost.
/// </summary>
internal sealed class OrleansGrainStorage(IGrainStateStore store) : IGrainStorage
{
    public async Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        var address = AddressOf(stateName, grainId);
        var stored = await store.ReadAsync(address);
        grainState.State = stored is null ? Activator.CreateInstance<T>() : Deserialize<T>(address, stored.Json.Span);
        grainState.ETag = stored?.Etag;
        grainState.RecordExists = stored is not null;
    }

    public async Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        // Made into JSON before the first await: the grain may change its state while the file is written.
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

    private static GrainStateAddress AddressOf(string stateName, GrainId grainId) => new(grainId.Type.ToString(), grainId.Key.ToString(), stateName);

    private static T Deserialize<T>(GrainStateAddress address, ReadOnlySpan<byte> json)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(json) ?? Activator.CreateInstance<T>();
        }
        catch (JsonException exception)
        {
            throw new GrainStateCorruptException($"The stored state {address} isn't a {typeof(T).Name}: {exception.Message}", exception);
        }
    }
}
