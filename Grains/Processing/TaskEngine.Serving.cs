using OrleansStreams.Processing.Operators;
using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Watermarks;

namespace OrleansStreams.Processing;

/// <content>Reading the stores from outside.</content>
internal sealed partial class TaskEngine
{
    /// <summary>Reads a store as it is now.</summary>
    /// <exception cref="StreamsException">StoreNotFound; InvalidRequest for a wrong continuation.</exception>
    public (List<StateEntry> Entries, ReadOnlyMemory<byte> Continuation) Query(StateQuery query)
    {
        var entries = new List<StateEntry>();
        var after = query.Continuation.IsEmpty ? default(StorePosition?) : StorePosition.Read(query.Continuation.Span);
        Store(query.Store).Query(query.Key.Span, Math.Max(query.FromMs, after?.Start ?? long.MinValue), query.ToMs, query.Limit + 1, entries, after?.End ?? long.MinValue);
        if (entries.Count <= query.Limit)
        {
            return (entries, default);
        }

        entries.RemoveAt(query.Limit);
        return (entries, new StorePosition([], entries[^1].WindowStartMs, entries[^1].WindowEndMs).ToBytes());
    }

    /// <summary>Brings the order of a store's keys on by some of them; a scan needs it whole.</summary>
    /// <returns>Whether it is.</returns>
    /// <exception cref="StreamsException">StoreNotFound; InvalidRequest for a store that has no ranges.</exception>
    public bool Order(string store) => Served(store).Order(OrderSlots);

    /// <summary>Forgets the order of a store's keys.</summary>
    public void DropOrder(string store) => Served(store).DropOrder();

    /// <summary>Reads a page of a store as it is now; null when the order of its keys is not whole.</summary>
    /// <exception cref="StreamsException">StoreNotFound; InvalidRequest for a store that has no ranges, or a wrong continuation.</exception>
    public (List<StoreRow> Rows, ReadOnlyMemory<byte> Continuation)? Scan(StoreScan scan)
    {
        var page = new StorePage(scan);
        var store = Served(scan.Store);
        if (!store.Order(0))
        {
            return null;
        }

        store.Scan(page);
        return page.Take();
    }

    private IServedStore Served(string store) =>
        Store(store) as IServedStore ?? throw new StreamsException(StreamsErrorCode.InvalidRequest, $"Store '{store}' is read by key only: give a key.");

    /// <summary>The name of the serde of a store's keys; null when it is not known.</summary>
    public string? KeySerdeOf(string store) => (Store(store) as IServedStore)?.KeySerde;

    /// <summary>The name of the serde of a store's values.</summary>
    /// <exception cref="StreamsException">StoreNotFound.</exception>
    public string ValueSerdeOf(string store) => Store(store).ValueSerde;

    /// <summary>The changes of stores that somebody follows.</summary>
    internal ChangeFeeds Feeds { get; } = new();

    /// <summary>A store by its name.</summary>
    /// <exception cref="StreamsException">StoreNotFound.</exception>
    internal IStateStore Store(string name) => _stores.FirstOrDefault(candidate => candidate.Name == name)
        ?? throw new StreamsException(StreamsErrorCode.StoreNotFound, $"The application '{_plan.Application}' has no store '{name}': see the stores in its topology.");
}
