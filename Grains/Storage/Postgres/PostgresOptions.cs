namespace OrleansStreams.Storage.Postgres;

/// <summary>How logs are stored in PostgreSQL (13 or newer).</summary>
public sealed record PostgresOptions
{
    /// <summary>Where the server is, in Npgsql's words: <c>Host=...;Database=...;Username=...;Password=...</c>. The user owns the schema, or may create it.</summary>
    public required string ConnectionString { get; init; }

    /// <summary>The schema for all tables: logs of two schemas have nothing to do with each other. 1 to 63 of [a-z0-9_], no digit first.</summary>
    public string Schema { get; init; } = "streams";

    /// <summary>Whether missing migrations are applied at the start; when not, a missing or old schema is an error.</summary>
    public bool Migrate { get; init; } = true;

    /// <summary>Whether one process at a time may use the schema (embedded hosts). In a cluster leader epochs alone keep the silos apart.</summary>
    public bool IsExclusive { get; init; }

    /// <summary>Connections that write at the same time. Each carries the batches of many logs in one transaction.</summary>
    public int WriterConnections { get; init; } = 4;

    /// <summary>Connections for all else: reads, openings, checkpoints, deletions.</summary>
    public int ReaderConnections { get; init; } = 4;

    /// <summary>Bytes of batches in one transaction, as long as more than one append waits; a single larger append goes alone.</summary>
    public int RoundBytesMax { get; init; } = 4 * 1024 * 1024;

    /// <summary>Bytes of the logs' ends that are kept in memory for readers, for all logs together.</summary>
    public long TailCacheBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>Bytes of buffers at most that wait to be used again for chunks of the logs' ends and for reads.</summary>
    public long SpareBufferBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>
    /// How long the server may stay away: within it a lost connection is made anew and what was under way is resolved, past it the operation fails with
    /// StorageError (an append whose transaction was under way with outcome unknown).
    /// </summary>
    public TimeSpan UnavailableMax { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Rows that one transaction deletes at most: bounds how long it holds their locks.</summary>
    public int DeleteRowsMax { get; init; } = 500;
}
