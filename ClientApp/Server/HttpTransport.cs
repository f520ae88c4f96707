using System.Net.Http.Headers;
using OrleansStreams.ClientApp.Commands;

namespace OrleansStreams.ClientApp.Server;

/// <summary>A server's HTTP API at an address.</summary>
internal sealed class HttpTransport : IServerTransport
{
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(60);

    private readonly HttpClient http;

    public HttpTransport(string address)
    {
        if (!Uri.TryCreate(address.TrimEnd('/') + "/", UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https"))
        {
            throw CommandFailedException.Usage($"--server {address} is not an address; give one such as {SharedOptions.ServerAbsent}.");
        }

        Name = address.TrimEnd('/');

        // A proxy from the environment has no business between us and this machine.
        http = new HttpClient(new SocketsHttpHandler { ConnectTimeout = TimeSpan.FromSeconds(10), UseProxy = !uri.IsLoopback })
        {
            BaseAddress = uri,
            Timeout = AnswerTimeout,
        };
    }

    public string Name { get; }

    public async Task<ServerAnswer> SendAsync(HttpMethod method, string path, ReadOnlyMemory<byte>? json, CancellationToken cancellation)
    {
        try
        {
            using var request = new HttpRequestMessage(method, path) { Content = json is { } body ? Json(body) : null };
            using var response = await http.SendAsync(request, cancellation);
            return new ServerAnswer((int)response.StatusCode, await response.Content.ReadAsByteArrayAsync(cancellation));
        }
        catch (HttpRequestException exception) when (exception.HttpRequestError is HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError)
        {
            throw new ServerException(
                $"cannot reach the server at {Name}. Start one with: dotnet run --project Silo; or name another with --server URL or STREAMS_SERVER.", isRetriable: true);
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException)
        {
            throw new ServerException($"the connection to {Name} broke ({exception.Message}); whether the request was carried out is not known. Try again.", isRetriable: true);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new ServerException($"the server at {Name} did not answer within {AnswerTimeout.TotalSeconds:0} s; look at its log, or try again.", isRetriable: true);
        }
    }

    public ValueTask DisposeAsync()
    {
        http.Dispose();
        return ValueTask.CompletedTask;
    }

    private static ReadOnlyMemoryContent Json(ReadOnlyMemory<byte> json)
    {
        var content = new ReadOnlyMemoryContent(json);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        return content;
    }
}
