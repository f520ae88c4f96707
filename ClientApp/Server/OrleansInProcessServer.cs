using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace OrleansStreams.ClientApp.Server;

/// <summary>A web server without a network: a request is an object, and its answer comes back as one.</summary>
internal sealed class InProcessServer : IServer
{
    private Func<IFeatureCollection, Task>? process;

    public IFeatureCollection Features { get; } = new FeatureCollection();

    public Task StartAsync<TContext>(IHttpApplication<TContext> application, CancellationToken cancellationToken)
        where TContext : notnull
    {
        process = features => ProcessAsync(application, features);
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose()
    {
    }

    /// <summary>Has a request carried out; whoever does is told by the token to stop, and is not waited for then.</summary>
    public async Task<ServerAnswer> SendAsync(HttpMethod method, string path, ReadOnlyMemory<byte>? json, CancellationToken cancellation)
    {
        using var request = new MemoryStream(json?.ToArray() ?? [], writable: false);
        var answer = new MemoryStream();
        var queryAt = path.IndexOf('?', StringComparison.Ordinal);
        var response = new HttpResponseFeature();
        var features = new FeatureCollection();
        features.Set<IHttpRequestFeature>(new HttpRequestFeature
        {
            Protocol = "HTTP/1.1",
            Scheme = "http",
            Method = method.Method,
            Path = PathString.FromUriComponent('/' + (queryAt < 0 ? path : path[..queryAt])).Value!,
            QueryString = queryAt < 0 ? string.Empty : path[queryAt..],
            RawTarget = '/' + path,
            Headers = new HeaderDictionary { ["Host"] = "in-process", ["Content-Type"] = json is null ? default : "application/json" },
            Body = request,
        });
        features.Set<IHttpResponseFeature>(response);
        features.Set<IHttpResponseBodyFeature>(new StreamResponseBodyFeature(answer));
        features.Set<IHttpRequestLifetimeFeature>(new HttpRequestLifetimeFeature { RequestAborted = cancellation });
        features.Set<IHttpRequestBodyDetectionFeature>(new BodyDetection(json is not null));
        await process!(features).WaitAsync(cancellation);
        cancellation.ThrowIfCancellationRequested();
        return new ServerAnswer(response.StatusCode, answer.ToArray());
    }

    private static async Task ProcessAsync<TContext>(IHttpApplication<TContext> application, IFeatureCollection features)
        where TContext : notnull
    {
        var context = application.CreateContext(features);
        Exception? failure = null;
        try
        {
            await application.ProcessRequestAsync(context);
        }
        catch (Exception exception)
        {
            failure = exception;
            throw;
        }
        finally
        {
            application.DisposeContext(context, failure);
        }
    }

    private sealed class BodyDetection(bool canHaveBody) : IHttpRequestBodyDetectionFeature
    {
        public bool CanHaveBody => canHaveBody;
    }
}
