using System.Collections.Immutable;
using OrleansStreams.Processing;

namespace OrleansStreams.Clients;

/// <summary>Starts, stops, watches and queries stream applications. Passing failures are tried again for up to 60 s.</summary>
public sealed partial class ApplicationClient
{
    private static readonly TimeSpan RequestTimeout = TimeSpan.FromSeconds(60);

    private readonly IGrainFactory _grains;
    private readonly ClientRetry _retry;

    internal ApplicationClient(IGrainFactory grains, ClientRetry retry)
    {
        _grains = grains;
        _retry = retry;
    }

    /// <summary>The names of the applications that the silos can run, in ordinal order.</summary>
    public Task<ImmutableArray<string>> ListAsync(CancellationToken cancellationToken = default) =>
        _retry.RunAsync(_grains.GetGrain<IApplicationDirectoryGrain>(IApplicationDirectoryGrain.Key).ListAsync, RequestTimeout, cancellationToken);

    /// <summary>Starts an application, durably.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound, InvalidRequest (state made with other parameters), UnknownTopicOrPartition (a missing input topic).</exception>
    public Task<StreamApplicationStatus> StartAsync(string application, ImmutableDictionary<string, string>? parameters = null, CancellationToken cancellationToken = default) =>
        _retry.RunAsync(() => Application(application).StartAsync(parameters ?? ImmutableDictionary<string, string>.Empty), RequestTimeout, cancellationToken);

    /// <summary>Stops an application after a last commit, durably.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound.</exception>
    public Task StopAsync(string application, CancellationToken cancellationToken = default) => _retry.RunAsync(Application(application).StopAsync, RequestTimeout, cancellationToken);

    /// <summary>An application's status.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound.</exception>
    public Task<StreamApplicationStatus> GetStatusAsync(string application, CancellationToken cancellationToken = default) =>
        _retry.RunAsync(Application(application).GetStatusAsync, RequestTimeout, cancellationToken);

    private IStreamApplicationGrain Application(string application) => _grains.Application(application);
}
