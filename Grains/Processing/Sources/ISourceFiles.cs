namespace OrleansStreams.Processing.Sources;

/// <summary>Where file sources find their files.</summary>
public interface ISourceFiles
{
    /// <summary>Opens a file for reading.</summary>
    /// <exception cref="StreamsException">StorageError (retriable) when it is not there, InvalidInput when it cannot be opened.</exception>
    ISourceFile Open(string path);
}

/// <summary>An open source file.</summary>
public interface ISourceFile : IDisposable
{
    /// <summary>Its length in bytes.</summary>
    long Length { get; }

    /// <summary>Reads at an offset; 0 at the end of the file.</summary>
    /// <exception cref="StreamsException">StorageError (retriable).</exception>
    ValueTask<int> ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default);
}

/// <summary>A position in a source file, with what tells the file from another.</summary>
/// <param name="Offset">The byte at which the next line begins.</param>
/// <param name="Line">The lines before it.</param>
/// <param name="Length">The file's length.</param>
/// <param name="Hash">A hash of the file's first and last block.</param>
internal sealed record FilePosition(long Offset, long Line, long Length, ulong Hash);
