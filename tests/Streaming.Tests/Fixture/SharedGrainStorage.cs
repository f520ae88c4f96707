using System.Collections.Concurrent;
using Orleans.Storage;

namespace OrleansStreams.Streaming.Fixture;

/// <summary>Grain state that outlives silos, as a database would.</summary>
internal sealed class SharedGrainStorage(ConcurrentDictionary<string, (BinaryData State, string ETag)> states, IGrainStorageSerializer serializer) : IGrainStorage
{
    public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        grainState.RecordExists = states.TryGetValue($"{stateName}/{grainId}", out var stored);
        grainState.ETag = grainState.RecordExists ? stored.ETag : null;
        grainState.State = grainState.RecordExists ? serializer.Deserialize<T>(stored.State) : Activator.CreateInstance<T>();
        return Task.CompletedTask;
    }

    public Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        grainState.ETag = Guid.NewGuid().ToString();
        grainState.RecordExists = true;
        states[$"{stateName}/{grainId}"] = (serializer.Serialize(grainState.State), grainState.ETag);
        return Task.CompletedTask;
    }

    public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        states.TryRemove($"{stateName}/{grainId}", out _);
        grainState.RecordExists = false;
        grainState.ETag = null;
        grainState.State = Activator.CreateInstance<T>();
        return Task.CompletedTask;
    }
}

/// <summary>The log's own grains keep plain records.</summary>
internal sealed class PlainJson : IGrainStorageSerializer
{
    public BinaryData Serialize<T>(T? input) => BinaryData.FromObjectAsJson(input);

    public T Deserialize<T>(BinaryData input) => input.ToObjectFromJson<T>()!;
}
