// Source files are the user's own and belong to no storage; this is the one place of the processing code that touches them (DESIGN 9).
#pragma warning disable RS0030
using Microsoft.Win32.SafeHandles;

namespace OrleansStreams.Processing.Sources;

/// <summary>The operating system's files.</summary>
internal sealed class PhysicalSourceFiles : ISourceFiles
{
    public ISourceFile Open(string path)
    {
        try
        {
            return new PhysicalSourceFile(path, File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, FileOptions.SequentialScan | FileOptions.Asynchronous));
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            // Somebody may be about to put it there; the task is tried again until then.
            throw new StreamsException(StreamsErrorCode.StorageError, $"The source file {path} is not there: put it there, and the application goes on.", inner: error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new StreamsException(StreamsErrorCode.InvalidInput, $"The source file {path} cannot be opened: {error.Message} Put it there, readable, and start the application again.", inner: error);
        }
    }

    private sealed class PhysicalSourceFile(string path, SafeFileHandle handle) : ISourceFile
    {
        public long Length => RandomAccess.GetLength(handle);

        public async ValueTask<int> ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            try
            {
                return await RandomAccess.ReadAsync(handle, buffer, offset, cancellationToken);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                throw new StreamsException(StreamsErrorCode.StorageError, $"The source file {path} cannot be read at byte {offset}: {error.Message}", inner: error);
            }
        }

        public void Dispose() => handle.Dispose();
    }
}
