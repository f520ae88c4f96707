using System.Text.Json;

namespace OrleansStreams.ClientApp.Server;

/// <summary>The server refused a request, or could not be asked.</summary>
internal sealed class ServerException(string message, string? code = null, bool isRetriable = false, JsonElement problem = default) : Exception(message)
{
    /// <summary>The server's error code, or null when there was no answer.</summary>
    public string? Code { get; } = code;

    public bool IsRetriable { get; } = isRetriable;

    /// <summary>A number of the problem document, for example the index of the record that was refused.</summary>
    public long? Number(string name) =>
        problem.ValueKind == JsonValueKind.Object && problem.TryGetProperty(name, out var value) && value.TryGetInt64(out var number) ? number : null;
}
