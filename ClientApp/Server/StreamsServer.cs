using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using OrleansStreams.ClientApp.Commands;

namespace OrleansStreams.ClientApp.Server;

/// <summary>The server's HTTP API; errors come as <see cref="ServerException"/> with a message that says what to do.</summary>
internal sealed class StreamsServer : IDisposable
{
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(60);

    private readonly HttpClient http;
    private readonly string address;

    public StreamsServer(string address)
    {
        if (!Uri.TryCreate(address.TrimEnd('/') + "/", UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https"))
        {
            throw CommandFailedException.Usage($"--server {address} is not an address; give one such as {SharedOptions.ServerAbsent}.");
        }

        this.address = address.TrimEnd('/');

        // A proxy from the environment has no business between us and this machine.
        http = new HttpClient(new SocketsHttpHandler { ConnectTimeout = TimeSpan.FromSeconds(10), UseProxy = !uri.IsLoopback })
        {
            BaseAddress = uri,
            Timeout = AnswerTimeout,
        };
    }

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

    public Task<JsonElement> PatchAsync(string path, object body, CancellationToken cancellation) =>
        SendAsync(HttpMethod.Patch, path, Json(JsonSerializer.SerializeToUtf8Bytes(body, JsonSerializerOptions.Web)), cancellation);

    public Task<JsonElement> PostBytesAsync(string path, ReadOnlyMemory<byte> json, CancellationToken cancellation) =>
        SendAsync(HttpMethod.Post, path, Json(json), cancellation);

    public void Dispose() => http.Dispose();

    private static ReadOnlyMemoryContent Json(ReadOnlyMemory<byte> json)
    {
        var content = new ReadOnlyMemoryContent(json);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        return content;
    }

    private async Task<JsonElement> SendAsync(HttpMethod method, string path, HttpContent? content, CancellationToken cancellation)
    {
        try
        {
            using var request = new HttpRequestMessage(method, path) { Content = content };
            using var response = await http.SendAsync(request, cancellation);
            var body = await response.Content.ReadAsByteArrayAsync(cancellation);
            return response.IsSuccessStatusCode ? Answer(response, body) : throw Refusal(response.StatusCode, body);
        }
        catch (HttpRequestException exception) when (exception.HttpRequestError is HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError)
        {
            throw new ServerException(
                $"cannot reach the server at {address}. Start one with: dotnet run --project Silo; or name another with --server URL or STREAMS_SERVER.", isRetriable: true);
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException)
        {
            throw new ServerException(
                $"the connection to {address} broke ({exception.Message}); whether the request was carried out is not known. Try again.", isRetriable: true);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new ServerException($"the server at {address} did not answer within {AnswerTimeout.TotalSeconds:0} s; look at its log, or try again.", isRetriable: true);
        }
    }

    private JsonElement Answer(HttpResponseMessage response, byte[] body)
    {
        if (response.StatusCode == HttpStatusCode.NoContent || body.Length == 0)
        {
            return default;
        }

        try
        {
            return JsonSerializer.Deserialize<JsonElement>(body);
        }
        catch (JsonException)
        {
            throw Stranger((int)response.StatusCode);
        }
    }

    private ServerException Refusal(HttpStatusCode status, byte[] body)
    {
        try
        {
            var problem = JsonSerializer.Deserialize<JsonElement>(body);
            var retriable = problem.GetProperty("retriable").GetBoolean();
            var detail = problem.GetProperty("detail").GetString()!;
            return new ServerException(retriable ? $"{detail} (It may help to try again.)" : detail, problem.GetProperty("code").GetString(), retriable, problem);
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return Stranger((int)status);
        }
    }

    private ServerException Stranger(int status) =>
        new($"{address} answered with status {status}, and not as an Orleans.Streams server does; check --server.");
}
