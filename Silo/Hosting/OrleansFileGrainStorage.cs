using System.Text;
using System.Text.Json;
using Orleans.Storage;

namespace OrleansStreams.Silo.Hosting;

/// <summary>
/// Grain state in files, for one silo without PostgreSQL: one JSON file per grain and state, replaced atomically and flushed. The same promise as
/// the embedded host's file provider.
/// </summary>
internal sealed class OrleansFileGrainStorage(string folder) : IGrainStorage
{
    public async Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        var path = PathOf(stateName, grainId);
        if (!File.Exists(path))
        {
            grainState.State = Activator.CreateInstance<T>();
            grainState.ETag = null;
            grainState.RecordExists = false;
            return;
        }

        var stored = JsonSerializer.Deserialize<Stored<T>>(await File.ReadAllBytesAsync(path)) ?? throw new InvalidDataException($"{path} is empty");
        grainState.State = stored.State;
        grainState.ETag = stored.ETag;
        grainState.RecordExists = true;
    }

    public async Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        var path = PathOf(stateName, grainId);
        await CheckETagAsync<T>(path, grainState.ETag);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var stored = new Stored<T>(Guid.NewGuid().ToString("N"), grainState.State);
        var unfinished = path + ".tmp";
        await using (var file = new FileStream(unfinished, FileMode.Create, FileAccess.Write, FileShare.None))
        {
            await JsonSerializer.SerializeAsync(file, stored);
            file.Flush(flushToDisk: true);
        }

        File.Move(unfinished, path, overwrite: true);
        grainState.ETag = stored.ETag;
        grainState.RecordExists = true;
    }

    public async Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        var path = PathOf(stateName, grainId);
        await CheckETagAsync<T>(path, grainState.ETag);
        File.Delete(path);
        grainState.State = Activator.CreateInstance<T>();
        grainState.ETag = null;
        grainState.RecordExists = false;
    }

    private static async Task CheckETagAsync<T>(string path, string? etag)
    {
        var current = File.Exists(path) ? JsonSerializer.Deserialize<Stored<T>>(await File.ReadAllBytesAsync(path))?.ETag : null;
        if (current != etag)
        {
            throw new InconsistentStateException($"{path} was written by someone else", current ?? string.Empty, etag ?? string.Empty);
        }
    }

    // Hexadecimal keeps apart what a file system that ignores case would merge.
    private string PathOf(string stateName, GrainId grainId) => Path.Combine(
        folder, Uri.EscapeDataString(grainId.Type.ToString() ?? "grain"), Convert.ToHexStringLower(Encoding.UTF8.GetBytes(grainId.Key.ToString() ?? string.Empty)) + "." + Uri.EscapeDataString(stateName) + ".json");

    private sealed record Stored<T>(string ETag, T State);
}
