namespace OrleansStreams.Processing.State;

/// <summary>What the engine needs of a store besides its operator: journaling, restoring, queries.</summary>
internal interface IStateStore
{
    string Name { get; }

    /// <summary>The name of the serde of its values.</summary>
    string ValueSerde { get; }

    /// <summary>Open windows plus closed ones that can be queried.</summary>
    long Entries { get; }

    /// <summary>A rough size of what the next commit writes.</summary>
    long PendingBytes { get; }

    /// <summary>Writes the operations since the last call (see <see cref="WindowOp"/>) and begins a new commit.</summary>
    /// <returns>Their number.</returns>
    int DrainOps(ByteBuffer to);

    /// <summary>Applies operations, of a commit or of a snapshot, in their order.</summary>
    void Apply(ref ByteReader ops, int count);

    /// <summary>Forgets closed windows beyond the retention. Called after every commit with the same argument as in a replay, so that both forget the same.</summary>
    void Evict(long maxEventTime);

    void BeginSnapshot();

    /// <summary>Writes the next part of the snapshot as operations, about <paramref name="maxBytes"/> of them. Call between commits only.</summary>
    /// <returns>Their number and whether this was the last part.</returns>
    (int Count, bool IsLast) WriteSnapshotPart(ByteBuffer to, int maxBytes);

    /// <summary>The windows of a key whose start lies in [from, to), by start.</summary>
    void Query(ReadOnlySpan<byte> key, long from, long to, int limit, List<StateEntry> entries);
}

/// <summary>
/// A change of a window store. A replay of operations gives the same state whether or not some of them are repeated, which is what lets a
/// snapshot be written in parts while processing goes on.
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
