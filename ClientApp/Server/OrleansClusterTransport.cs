using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.Extensions.DependencyInjection;
using OrleansStreams.ClientApp.Commands;
using OrleansStreams.Cluster;
using OrleansStreams.Errors;
using OrleansStreams.Silo.Http;

namespace OrleansStreams.ClientApp.Server;

/// <summary>
/// The way to a cluster: this process is an Orleans client, and runs the server's API itself, over that client and without a socket. So a command prints and
/// refuses the same as over HTTP, because it is the same code that answers.
/// </summary>
internal sealed class ClusterTransport : IServerTransport
{
    /// <summary>A person waits.</summary>
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(60);

    /// <summary>How long silos may come and go before a request fails that can be repeated without harm.</summary>
    private static readonly TimeSpan RetryTimeout = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan RetryPause = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(5);

    private readonly InProcessServer server = new();
    private readonly WebApplication app;
    private readonly Lazy<Task> started;

    private ClusterTransport(ClusterAddress address)
    {
        Name = $"cluster '{address.ClusterId}'";
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddRouting();
        builder.Services.AddSingleton<IServer>(server);
        builder.UseStreamsClusterClient(options =>
        {
            (options.ConnectionString, options.ClusterId, options.ServiceId, options.Schema) = (address.ConnectionString, address.ClusterId, address.ServiceId, address.Schema);
            options.ConnectTimeout = ConnectTimeout;
        });
        builder.Services.AddStreamsApi();
        app = builder.Build();
        app.MapStreamsApi();

        // Not before the first request: a command that is used wrongly says so at once.
        started = new Lazy<Task>(() => app.StartAsync());
    }

    public string Name { get; }

    /// <exception cref="CommandFailedException">The address cannot be used.</exception>
    public static IServerTransport Open(ClusterAddress address)
    {
        try
        {
            return new ClusterTransport(address);
        }
        catch (StreamsException mistake)
        {
            throw CommandFailedException.Usage($"--cluster cannot be used: {mistake.Message}.");
        }
    }

    public async Task<ServerAnswer> SendAsync(HttpMethod method, string path, ReadOnlyMemory<byte>? json, CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        try
        {
            await StartedAsync(cancellation);
            patience.CancelAfter(AnswerTimeout);
            var began = TimeProvider.System.GetTimestamp();
            while (true)
            {
                var answer = await server.SendAsync(method, path, json, patience.Token);
                if (method != HttpMethod.Get || answer.Status is not (503 or 504) || TimeProvider.System.GetElapsedTime(began) > RetryTimeout)
                {
                    return answer;
                }

                await Task.Delay(RetryPause, patience.Token);
            }
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new ServerException($"{Name} did not answer within {AnswerTimeout.TotalSeconds:0} s; look at the silos' logs, or try again.", isRetriable: true);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (started is { IsValueCreated: true, Value.IsCompletedSuccessfully: true })
        {
            using var timeout = new CancellationTokenSource(StopTimeout);
            await app.StopAsync(timeout.Token);
        }

        await app.DisposeAsync();
    }

    private async Task StartedAsync(CancellationToken cancellation)
    {
        try
        {
            await started.Value.WaitAsync(cancellation);
        }
        catch (StreamsException error)
        {
            throw new ServerException($"{char.ToUpperInvariant(error.Message[0])}{error.Message[1..]}.");
        }
    }
}
