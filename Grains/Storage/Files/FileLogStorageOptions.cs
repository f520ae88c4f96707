namespace OrleansStreams.Storage.Files;

/// <summary>How logs are stored in files.</summary>
public sealed record FileLogStorageOptions
{
    /// <summary>The data folder; made when it doesn't exist. One process at a time may use it.</summary>
    public required string RootPath { get; init; }

    /// <summary>Bytes of the logs' ends that are kept in memory for readers, for all logs together; 0 or more. What is not written yet comes on top.</summary>
    public long TailCacheBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>Bytes of read and write buffers that are kept for further use at most; 0 or more.</summary>
    public long SpareBufferBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>
    /// The size of the flush journal, in which the appends of all logs become durable together (<see cref="FlushMode.Always"/>); 0: each log
    /// is flushed by itself.
    /// </summary>
    public long JournalBytes { get; init; } = 128L * 1024 * 1024;

    /// <summary>Files that are kept open at most (more only while more have unflushed bytes).</summary>
    public int OpenFilesMax { get; init; } = 1024;

    /// <summary>Threads that write and flush: as many logs do so at the same time. Made when they are needed.</summary>
    public int WriterThreads { get; init; } = 8;

    /// <summary>Threads that read what is not in memory any more. Made when they are needed.</summary>
    public int ReaderThreads { get; init; } = 2;
}
