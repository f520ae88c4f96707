namespace OrleansStreams.Processing.Sources;

/// <summary>Opens files for file sources.</summary>
internal interface ISourceFiles
{
    /// <summary>Opens a file.</summary>
    /// <exception cref="StreamsException">InvalidInput when it is not there or cannot be read.</exception>
    ISourceFile Open(string path);
}

/// <summary>An open file.</summary>
internal interface ISourceFile : IDisposable
{
    long Length { get; }

    /// <summary>Reads bytes at an offset; 0 at the end.</summary>
    ValueTask<int> ReadAsync(Memory<byte> buffer, long offset, CancellationToken cancellationToken);
}
