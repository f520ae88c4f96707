using System.Buffers;
using OrleansStreams.Processing;
using OrleansStreams.Records;

namespace OrleansStreams.Clients;

/// <summary>Queries of committed state.</summary>
public sealed partial class ApplicationClient
{
    /// <summary>The windows of a key whose start lies in [<paramref name="from"/>, <paramref name="to"/>): committed state only, so many at a time as <paramref name="limit"/> says.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound, ApplicationNotRunning, TaskNotReady (retriable), StoreNotFound, InvalidRequest, SerializationFailed; RequestTimedOut (retriable) when no commit was
    /// as fresh as wanted in time.</exception>
    public async Task<WindowQueryResult<TValue>> QueryWindowsAsync<TKey, TValue>(
        string application,
        string store,
        TKey key,
        ISerializer<TKey> keySerializer,
        IDeserializer<TValue> valueDeserializer,
        DateTimeOffset from,
        DateTimeOffset to,
        int limit = 1_000,
        QueryFreshness? freshness = null,
        ReadOnlyMemory<byte> continuation = default,
        CancellationToken cancellationToken = default)
    {
        var query = Fresh(new StateQuery(store, BytesOf(key, keySerializer), from.ToUnixTimeMilliseconds(), to.ToUnixTimeMilliseconds(), limit) { Continuation = continuation }, freshness);
        var result = await _retry.RunAsync(() => Application(application).QueryAsync(query), TimeoutOf(freshness), cancellationToken);
        return new WindowQueryResult<TValue>(
            [.. result.Entries.Select(entry => new WindowedValue<TValue>(entry.WindowStartMs, entry.WindowEndMs, valueDeserializer.Deserialize(entry.Value.Span), entry.IsFinal))],
            result.EventTimeWatermark,
            result.CommitOffset)
        {
            Continuation = result.Continuation,
        };
    }

    /// <summary>The value of a key in a plain store (a table): committed state only.</summary>
    /// <exception cref="StreamsException">As of <see cref="QueryWindowsAsync{TKey, TValue}"/>.</exception>
    public async Task<ValueQueryResult<TValue>> QueryValueAsync<TKey, TValue>(
        string application,
        string store,
        TKey key,
        ISerializer<TKey> keySerializer,
        IDeserializer<TValue> valueDeserializer,
        QueryFreshness? freshness = null,
        CancellationToken cancellationToken = default)
    {
        var query = Fresh(new StateQuery(store, BytesOf(key, keySerializer), long.MinValue, long.MaxValue, 1), freshness);
        var result = await _retry.RunAsync(() => Application(application).QueryAsync(query), TimeoutOf(freshness), cancellationToken);
        var isThere = !result.Entries.IsEmpty;
        return new ValueQueryResult<TValue>(isThere, isThere ? valueDeserializer.Deserialize(result.Entries[0].Value.Span) : default, result.EventTimeWatermark, result.CommitOffset);
    }

    /// <summary>A page of a store's rows over all partitions: a range of keys, of windows, or both. Committed state only.</summary>
    /// <exception cref="StreamsException">As of <see cref="QueryWindowsAsync{TKey, TValue}"/>.</exception>
    public async Task<RangeQueryResult<TKey, TValue>> QueryRangeAsync<TKey, TValue>(
        string application,
        string store,
        StoreRange range,
        IDeserializer<TKey> keyDeserializer,
        IDeserializer<TValue> valueDeserializer,
        QueryFreshness? freshness = null,
        CancellationToken cancellationToken = default)
    {
        var result = await ScanAsync(application, store, range, freshness, cancellationToken);
        return new RangeQueryResult<TKey, TValue>(
            [.. result.Rows.Select(row => new StoredRow<TKey, TValue>(
                keyDeserializer.Deserialize(row.Key.Span), row.WindowStartMs, row.WindowEndMs, valueDeserializer.Deserialize(row.Value.Span), row.IsFinal))],
            result.Partitions,
            result.Continuation,
            result.Application);
    }

    /// <summary>The topology of an application, with the topics that it really uses.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound; InvalidConfig or InvalidRequest when it cannot be described.</exception>
    public Task<TopologyText> GetTopologyAsync(string application, CancellationToken cancellationToken = default) =>
        _retry.RunAsync(Application(application).GetTopologyAsync, RequestTimeout, cancellationToken);

    internal Task<StoreScanResult> ScanAsync(string application, string store, StoreRange range, QueryFreshness? freshness, CancellationToken cancellationToken)
    {
        var scan = new StoreScan(store, range.FromKey, range.ToKey, range.FromMs, range.ToMs, range.Limit)
        {
            Continuation = range.Continuation,
            AtLeast = freshness?.AtLeast ?? [],
            WaitMs = (int)(freshness?.Wait.TotalMilliseconds ?? StateQuery.WaitMsDefault),
        };
        return _retry.RunAsync(() => Application(application).ScanAsync(scan), TimeoutOf(freshness), cancellationToken);
    }

    private static StateQuery Fresh(StateQuery query, QueryFreshness? freshness) =>
        freshness is null ? query : query with { AtLeast = freshness.AtLeast, WaitMs = (int)freshness.Wait.TotalMilliseconds };

    /// <summary>Who waits for his writes has said how long: trying again would be longer.</summary>
    private static TimeSpan TimeoutOf(QueryFreshness? freshness) => freshness is { AtLeast.IsEmpty: false } ? freshness.Wait : RequestTimeout;

    private static ReadOnlyMemory<byte> BytesOf<TKey>(TKey key, ISerializer<TKey> serializer)
    {
        var bytes = new ArrayBufferWriter<byte>();
        serializer.Serialize(key, bytes);
        return bytes.WrittenMemory;
    }
}
