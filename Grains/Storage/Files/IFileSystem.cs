namespace OrleansStreams.Storage.Files;

/// <summary>
/// What file storage needs of a disk, and nothing that a disk doesn't promise: bytes are safe once their file was flushed, names once
/// their directory was. Blocking on purpose: everything here runs on <see cref="FileIoQueue"/> threads. Failures are IOException or
/// UnauthorizedAccessException, a full disk is <see cref="DiskFullException"/>.
/// </summary>
internal interface IFileSystem
{
    bool FileExists(string path);

    /// <summary>Creates a directory whose parent exists. No error when it is there.</summary>
    void CreateDirectory(string path);

    bool DirectoryExists(string path);

    /// <summary>The names of the files in a directory.</summary>
    IReadOnlyList<string> ListFiles(string directory);

    /// <summary>The names of the directories in a directory.</summary>
    IReadOnlyList<string> ListDirectories(string directory);

    IStorageFile Open(string path, FileOpening opening);

    /// <summary>Renames a file or a directory atomically; a file replaces one of the new name.</summary>
    void Rename(string from, string to);

    void DeleteFile(string path);

    /// <summary>Deletes an empty directory.</summary>
    void DeleteDirectory(string path);

    /// <summary>Makes the names in a directory durable.</summary>
    void FlushDirectory(string path);

    /// <summary>Locks a file against all others, in this and in other processes, until it is disposed or the process dies; null when another has it.</summary>
    IDisposable? TryLock(string path);
}

/// <summary>An open file.</summary>
internal interface IStorageFile : IDisposable
{
    long Length { get; }

    /// <summary>Reads at a position; fewer bytes only at the end of the file.</summary>
    int Read(long position, Span<byte> buffer);

    /// <summary>Asks for bytes to be brought into memory, without waiting; a hint that may be ignored, and never fails.</summary>
    void Prefetch(long position, long length);

    /// <summary>Writes all parts one behind the other from a position on.</summary>
    void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> parts);

    /// <summary>Makes the bytes durable. After a failure nothing is known of what was written since the last success (the system may have dropped it).</summary>
    void Flush();

    void Truncate(long length);
}

/// <summary>How to open a file.</summary>
internal enum FileOpening
{
    Read,
    ReadWrite,

    /// <summary>Creates it or empties it.</summary>
    Create,
}

/// <summary>The disk is full, or the quota.</summary>
internal sealed class DiskFullException(string message, Exception? inner = null) : IOException(message, inner);
