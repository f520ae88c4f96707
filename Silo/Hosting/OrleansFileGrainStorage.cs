using System.Text.Json;
using EmbeddedOrleans.Storage;
using Orleans.Storage;

namespace OrleansStreams.Silo.Hosting;

/// <summary>
/// Grain state in files, for one silo without PostgreSQL. The files are those of the embedded host, written by the same code: a data folder
/// can change hands between the two builds.
/// </summary>
internal sealed class OrleansFileGrainStorage(string folder) : IGrainStorage
{
    private readonly FileGrainStateStore _files = new(folder);

    public async Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        var address = AddressOf(stateName, grainId);
        var stored = await _files.ReadAsync(address);
        grainState.State = stored is null ? Activator.CreateInstance<T>() : Deserialize<T>(address, stored.Json.Span);
        grainState.ETag = stored?.Etag;
        grainState.RecordExists = stored is not null;
    }

    public async Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        // Made into JSON before the first await: the grain may change its state while the file is written.
        var json = JsonSerializer.SerializeToUtf8Bytes(grainState.State);
        grainState.ETag = await _files.WriteAsync(AddressOf(stateName, grainId), json, grainState.ETag);
        grainState.RecordExists = true;
    }

    public async Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        await _files.ClearAsync(AddressOf(stateName, grainId), grainState.ETag);
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
