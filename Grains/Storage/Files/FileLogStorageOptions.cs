namespace OrleansStreams.Storage.Files;

/// <summary>How logs are stored in files.</summary>
public sealed record FileLogStorageOptions
{
    /// <summary>The data folder; made when it doesn't exist. One process at a time may use it.</summary>
    public required string RootPath { get; init; }

    /// <summary>Bytes of the logs' ends that are kept in memory for readers, for all logs together.</summary>
    public long TailCacheBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>Threads that write and flush: as many logs do so at the same time.</summary>
    public int WriterThreads { get; init; } = 4;

    /// <summary>Threads that read what is not in memory any more.</summary>
    public int ReaderThreads { get; init; } = 2;
}
