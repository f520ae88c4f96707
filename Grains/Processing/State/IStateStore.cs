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

    /// <summary>A rough size of the memory held: tables and keys exactly, objects behind values by their serialized size.</summary>
    long Bytes { get; }

    /// <summary>Writes the operations since the last call and begins a new commit.</summary>
    /// <returns>Their number.</returns>
    int DrainOps(ByteBuffer to);

    /// <summary>Applies operations, of a commit or of a snapshot, in their order.</summary>
    void Apply(ref ByteReader ops, int count);

    /// <summary>Forgets what is kept for queries alone beyond the retention. Called after every commit with the same argument as in a replay, so that both forget the same.</summary>
    void Evict(long maxEventTime);

    void BeginSnapshot();

    /// <summary>Writes the next part of the snapshot as operations, about <paramref name="maxBytes"/> of them. Call between commits only.</summary>
    /// <returns>Their number and whether this was the last part.</returns>
    (int Count, bool IsLast) WriteSnapshotPart(ByteBuffer to, int maxBytes);

    /// <summary>The entries of a key whose start lies in [from, to), by start; a plain store's only entry has no start and always answers.</summary>
    void Query(ReadOnlySpan<byte> key, long from, long to, int limit, List<StateEntry> entries);
}

/// <summary>A store that can be told which keys come next.</summary>
internal interface IKeyedStore
{
    /// <inheritdoc cref="IStateStore.Bytes"/>
    long Bytes { get; }

    /// <summary>Keys with these hashes (<see cref="ByteKeys.Hash(ReadOnlySpan{byte})"/>) are about to be looked up.</summary>
    void Warm(ReadOnlySpan<uint> hashes);
}

/// <summary>
/// A change of a window store.
/// <code>
///  kind byte (1 open, 2 closed) | window start int64 | key length int32 | key | value length int32 | value
/// </code>
/// </summary>
internal enum WindowOp : byte
{
    /// <summary>The open window has this aggregate now.</summary>
    Open = 1,

    /// <summary>The window closed with this aggregate.</summary>
    Closed = 2,
}
