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

    /// <summary>Starts an application, durably: from a place in its inputs, or up to one, with which it completes.</summary>
    /// <exception cref="StreamsException">As of <see cref="StartAsync"/>; InvalidRequest for a place when it has state already.</exception>
    public Task<StreamApplicationStatus> StartWithAsync(string application, StreamApplicationStart start, CancellationToken cancellationToken = default) =>
        _retry.RunAsync(() => Application(application).StartWithAsync(start), RequestTimeout, cancellationToken);

    /// <summary>Pauses an application, durably: it reads nothing, keeps its state and answers queries.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound, ApplicationNotRunning when it was never started.</exception>
    public Task<StreamApplicationStatus> PauseAsync(string application, CancellationToken cancellationToken = default) =>
        _retry.RunAsync(Application(application).PauseAsync, RequestTimeout, cancellationToken);

    /// <summary>Lets a paused application go on.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound, ApplicationNotRunning when it was never started.</exception>
    public Task<StreamApplicationStatus> ResumeAsync(string application, CancellationToken cancellationToken = default) =>
        _retry.RunAsync(Application(application).ResumeAsync, RequestTimeout, cancellationToken);

    /// <summary>Deletes the state of a stopped application; its next start reads its inputs from a place that is taken now. See <see cref="IStreamApplicationGrain.ResetAsync"/>.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound, ApplicationNotRunning when it was never started, InvalidRequest when it is not stopped.</exception>
    public Task ResetAsync(string application, StreamPosition position, CancellationToken cancellationToken = default) =>
        _retry.RunAsync(() => Application(application).ResetAsync(position), RequestTimeout, cancellationToken);

    /// <summary>Stops an application and deletes its state and internal topics; its inputs and results stay.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound, InvalidRequest when an alias stands for it.</exception>
    public Task DropAsync(string application, CancellationToken cancellationToken = default) => _retry.RunAsync(Application(application).DropAsync, RequestTimeout, cancellationToken);

    /// <summary>Lets an alias stand for an application that runs: queries under the alias that come from now on are answered by it.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound, InvalidConfig for a name that cannot be an alias, InvalidRequest when the application does not run.</exception>
    public Task SwitchAsync(string alias, string application, CancellationToken cancellationToken = default) =>
        _retry.RunAsync(() => Directory.SwitchAsync(alias, application), RequestTimeout, cancellationToken);

    /// <summary>The aliases in ordinal order.</summary>
    public Task<ImmutableArray<ServingAlias>> ListAliasesAsync(CancellationToken cancellationToken = default) => _retry.RunAsync(Directory.ListAliasesAsync, RequestTimeout, cancellationToken);

    /// <summary>Forgets an alias.</summary>
    public Task RemoveAliasAsync(string alias, CancellationToken cancellationToken = default) => _retry.RunAsync(() => Directory.RemoveAliasAsync(alias), RequestTimeout, cancellationToken);

    private IApplicationDirectoryGrain Directory => _grains.GetGrain<IApplicationDirectoryGrain>(IApplicationDirectoryGrain.Key);

    private IStreamApplicationGrain Application(string application) => _grains.Application(application);
}
