namespace OrleansStreams.Storage.Postgres;

/// <summary>What one log gives to a round of writes: all or nothing of it is written.</summary>
internal sealed class RoundPart
{
    /// <summary>Who hears of the outcome.</summary>
    public required IRoundOwner Owner { get; init; }

    /// <summary>The log's row.</summary>
    public required long LogKey { get; init; }

    /// <summary>Its epoch, as this opener has it.</summary>
    public required int LeaderEpoch { get; init; }

    /// <summary>Its inquiry, as this opener has it.</summary>
    public required int Inquiry { get; set; }

    /// <summary>What the commit must be: a value of synchronous_commit.</summary>
    public required string SynchronousCommit { get; init; }

    /// <summary>The batches, in order; at least one.</summary>
    public required List<BatchRow> Rows { get; init; }

    /// <summary>The segments that end before one of them.</summary>
    public required List<SegmentRow> Closed { get; init; }
}

/// <summary>A log, as the writer sees it.</summary>
internal interface IRoundOwner
{
    /// <summary>The next part to be written, of about so many bytes, or null when nothing waits. There is no second one before the first one's outcome.</summary>
    RoundPart? Take(long bytesMax);

    /// <summary>It is written. True when there is more to take.</summary>
    bool Written(RoundPart part);

    /// <summary>It isn't, or nobody knows. True when there is more to take.</summary>
    bool Failed(RoundPart part, RoundFailure failure, Exception? cause);
}

/// <summary>Why a part was not acknowledged.</summary>
internal enum RoundFailure
{
    /// <summary>The log belongs to a newer leader; not written.</summary>
    Fenced,

    /// <summary>The log belongs to a newer leader, and what it did since hides whether the part was written.</summary>
    FencedUnknown,

    /// <summary>No room; not written.</summary>
    DiskFull,

    /// <summary>Refused by the server or never sent; not written.</summary>
    NotWritten,

    /// <summary>The server stays away; it may be written.</summary>
    Unknown,
}
