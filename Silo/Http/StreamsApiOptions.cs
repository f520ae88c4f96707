namespace OrleansStreams.Silo.Http;

/// <summary>The bounds of the HTTP API: what one request may ask for.</summary>
public sealed class StreamsApiOptions
{
    /// <summary>The largest JSON body in bytes; a larger one is answered 413. Streamed bodies (application/x-ndjson) are bounded per line instead.</summary>
    public int MaxBodyBytes { get; set; } = 16 * 1024 * 1024;

    /// <summary>The most records in one JSON batch; more are answered 413.</summary>
    public int MaxBatchRecords { get; set; } = 10_000;

    /// <summary>The longest line of an application/x-ndjson body in bytes; a longer one is answered 413.</summary>
    public int MaxLineBytes { get; set; } = 8 * 1024 * 1024;

    /// <summary>How many records of a streamed body may be under way; past it reading the body pauses, so that the sender is slowed down.</summary>
    public int MaxPendingRecords { get; set; } = 10_000;

    /// <summary>The most records that one fetch answers.</summary>
    public int MaxFetchRecords { get; set; } = 10_000;

    /// <summary>The bytes of record batches after which a fetch answers what it has.</summary>
    public int MaxFetchBytes { get; set; } = 4 * 1024 * 1024;

    /// <summary>The longest wait of a long poll in ms; it stays below the response timeout of grain calls.</summary>
    public int MaxWaitMs { get; set; } = 20_000;

    /// <summary>How often a silent event stream sends a comment, so that both ends notice a dead connection.</summary>
    public TimeSpan TailKeepAlive { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a client that follows a store may take nothing, while what is buffered for it is at its bound, before it is dropped.</summary>
    public TimeSpan SlowClientPatience { get; set; } = TimeSpan.FromSeconds(10);
}
