using System.Text.Json;

namespace OrleansStreams.ClientApp.Server;

/// <summary>What commands ask a server for: resources of its API as JSON. Errors come as <see cref="ServerException"/> with a message that says what to do.</summary>
internal sealed class StreamsServer(IServerTransport transport)
{
    private const int NoContent = 204;

    /// <summary>A path from its parts, each escaped.</summary>
    public static string Path(params IEnumerable<string> parts) => string.Join('/', parts.Select(Uri.EscapeDataString));

    /// <summary>A query string of the values that are there.</summary>
    public static string Query(params IEnumerable<(string Name, string? Value)> values)
    {
        var text = string.Join('&', values.Where(value => value.Value is not null).Select(value => $"{value.Name}={Uri.EscapeDataString(value.Value!)}"));
        return text.Length == 0 ? string.Empty : "?" + text;
    }

    public Task<JsonElement> GetAsync(string path, CancellationToken cancellation) => SendAsync(HttpMethod.Get, path, null, cancellation);

    public Task<JsonElement> DeleteAsync(string path, CancellationToken cancellation) => SendAsync(HttpMethod.Delete, path, null, cancellation);

    public Task<JsonElement> PostAsync(string path, object body, CancellationToken cancellation) =>
        PostBytesAsync(path, JsonSerializer.SerializeToUtf8Bytes(body, JsonSerializerOptions.Web), cancellation);

    public Task<JsonElement> PutAsync(string path, object body, CancellationToken cancellation) =>
        SendAsync(HttpMethod.Put, path, JsonSerializer.SerializeToUtf8Bytes(body, JsonSerializerOptions.Web), cancellation);

    public Task<JsonElement> PatchAsync(string path, object body, CancellationToken cancellation) =>
        SendAsync(HttpMethod.Patch, path, JsonSerializer.SerializeToUtf8Bytes(body, JsonSerializerOptions.Web), cancellation);

    public Task<JsonElement> PostBytesAsync(string path, ReadOnlyMemory<byte> json, CancellationToken cancellation) => SendAsync(HttpMethod.Post, path, json, cancellation);

    private async Task<JsonElement> SendAsync(HttpMethod method, string path, ReadOnlyMemory<byte>? json, CancellationToken cancellation)
    {
        var answer = await transport.SendAsync(method, path, json, cancellation);
        return answer.Status is >= 200 and < 300 ? Answer(answer) : throw Refusal(answer);
    }

    private JsonElement Answer(ServerAnswer answer)
    {
        if (answer.Status == NoContent || answer.Body.IsEmpty)
        {
            return default;
        }

        try
        {
            return JsonSerializer.Deserialize<JsonElement>(answer.Body.Span);
        }
        catch (JsonException)
        {
            throw Stranger(answer.Status);
        }
    }

    private ServerException Refusal(ServerAnswer answer)
    {
        try
        {
            var problem = JsonSerializer.Deserialize<JsonElement>(answer.Body.Span);
            var retriable = problem.GetProperty("retriable").GetBoolean();
            var detail = problem.GetProperty("detail").GetString()!;
            return new ServerException(retriable ? $"{detail} (It may help to try again.)" : detail, problem.GetProperty("code").GetString(), retriable, problem);
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return Stranger(answer.Status);
        }
    }

    private ServerException Stranger(int status) =>
        new($"{transport.Name} answered with status {status}, and not as an Orleans.Streams server does; check --server.");
}
