using System.Buffers;
using System.Collections.Immutable;
using OrleansStreams.Processing;
using OrleansStreams.Records;

namespace OrleansStreams.Clients;

/// <summary>A window of a key, as a query answers it.</summary>
/// <param name="WindowStartMs">Its start, ms since the Unix epoch.</param>
/// <param name="WindowEndMs">Its end (exclusive).</param>
/// <param name="Value">The aggregate.</param>
/// <param name="IsFinal">Whether the window has closed.</param>
public readonly record struct WindowedValue<T>(long WindowStartMs, long WindowEndMs, T Value, bool IsFinal);

/// <summary>Windows of a key.</summary>
/// <param name="Windows">The windows by start.</param>
/// <param name="EventTimeWatermark">The task's watermark at the commit that they reflect, ms since the Unix epoch.</param>
/// <param name="CommitOffset">The journal offset of that commit.</param>
public sealed record WindowQueryResult<T>(ImmutableArray<WindowedValue<T>> Windows, long EventTimeWatermark, long CommitOffset);

/// <summary>Starts, stops, watches and queries stream applications. Passing failures are tried again for up to 60 s.</summary>
public sealed class ApplicationClient
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

    /// <summary>The windows of a key whose start lies in [<paramref name="from"/>, <paramref name="to"/>): committed state only.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound, ApplicationNotRunning, TaskNotReady (retriable), StoreNotFound, InvalidRequest, SerializationFailed.</exception>
    public async Task<WindowQueryResult<TValue>> QueryWindowsAsync<TKey, TValue>(
        string application,
        string store,
        TKey key,
        ISerializer<TKey> keySerializer,
        IDeserializer<TValue> valueDeserializer,
        DateTimeOffset from,
        DateTimeOffset to,
        int limit = 1_000,
        CancellationToken cancellationToken = default)
    {
        var keyBytes = new ArrayBufferWriter<byte>();
        keySerializer.Serialize(key, keyBytes);
        var query = new StateQuery(store, keyBytes.WrittenMemory, from.ToUnixTimeMilliseconds(), to.ToUnixTimeMilliseconds(), limit);
        var result = await _retry.RunAsync(() => Application(application).QueryAsync(query), RequestTimeout, cancellationToken);
        return new WindowQueryResult<TValue>(
            [.. result.Entries.Select(entry => new WindowedValue<TValue>(entry.WindowStartMs, entry.WindowEndMs, valueDeserializer.Deserialize(entry.Value.Span), entry.IsFinal))],
            result.EventTimeWatermark,
            result.CommitOffset);
    }

    private IStreamApplicationGrain Application(string application) => _grains.Application(application);
}
