namespace OrleansStreams.Processing.State;

/// <summary>
/// What the engine needs of a store besides its operator: journaling, restoring, queries. A replay of a store's operations gives the same state whether or not some
/// of them are repeated, and whether it begins at the first or at a snapshot that was written in parts while processing went on.
/// </summary>
internal interface IStateStore
{
    string Name { get; }

    /// <summary>The name of the serde of its values.</summary>
    string ValueSerde { get; }

    /// <summary>The version of the form of its operations, which every journal entry and every part of a snapshot names.</summary>
    int SchemaVersion { get; }

    /// <summary>Entries that can be queried.</summary>
    long Entries { get; }

    /// <summary>A rough size of what the next commit writes.</summary>
    long PendingBytes { get; }

    /// <summary>The size of the memory held: tables and keys exactly, objects behind values by their serialized size, from their commit on.</summary>
    long Bytes { get; }

    /// <summary>Writes the operations since the last call and begins a new commit.</summary>
    /// <returns>Their number.</returns>
    int DrainOps(ByteBuffer to);

    /// <summary>Applies operations, of a commit or of a snapshot, in their order.</summary>
    void Apply(ref ByteReader ops, int count);

    /// <summary>Forgets what is kept for queries alone beyond the retention. Called after every commit with the same time as in a replay, so that both forget the same.</summary>
    /// <param name="maxEventTime">The newest event time.</param>
    /// <param name="sink">Is told which rows are gone, for nothing in the journal says so; null when nobody wants to know.</param>
    void Evict(long maxEventTime, IChangeSink? sink = null);

    void BeginSnapshot();

    /// <summary>Writes the next part of the snapshot as operations, about <paramref name="maxBytes"/> of them. Call between commits only.</summary>
    /// <returns>Their number and whether this was the last part.</returns>
    (int Count, bool IsLast) WriteSnapshotPart(ByteBuffer to, int maxBytes);

    /// <summary>The entries of a key whose start lies in [from, to), by start and end; a plain store's only entry has no start and always answers.</summary>
    /// <param name="key">The key.</param>
    /// <param name="from">The first start wanted.</param>
    /// <param name="to">The first start not wanted.</param>
    /// <param name="limit">The most entries to answer.</param>
    /// <param name="entries">Takes them.</param>
    /// <param name="afterEnd">Entries that start at <paramref name="from"/> are wanted only when they end behind this.</param>
    void Query(ReadOnlySpan<byte> key, long from, long to, int limit, List<StateEntry> entries, long afterEnd = long.MinValue);
}

/// <summary>A store that can be told which keys come next.</summary>
internal interface IKeyedStore
{
    /// <inheritdoc cref="IStateStore.Bytes"/>
    long Bytes { get; }

    /// <summary>Keys with these hashes (<see cref="ByteKeys.Hash(ReadOnlySpan{byte})"/>) are about to be looked up.</summary>
    void Warm(ReadOnlySpan<uint> hashes);
}
