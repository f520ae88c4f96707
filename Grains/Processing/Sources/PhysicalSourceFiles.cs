// The one place of processing that touches files: what a file source reads is input, not state, and comes in through ISourceFiles everywhere else.
#pragma warning disable RS0030

using Microsoft.Win32.SafeHandles;

namespace OrleansStreams.Processing.Sources;

/// <summary>Files of the machine.</summary>
internal sealed class PhysicalSourceFiles : ISourceFiles
{
    public ISourceFile Open(string path)
    {
        try
        {
            return new PhysicalFile(path, File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read, FileOptions.Asynchronous));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw Unreadable(path, error);
        }
    }

    private static StreamsException Unreadable(string path, Exception error) =>
        new(StreamsErrorCode.InvalidInput, $"cannot read the source file {path}: {error.Message}", inner: error);

    private sealed class PhysicalFile(string path, SafeFileHandle handle) : ISourceFile
    {
        public long Length => RandomAccess.GetLength(handle);

        public async ValueTask<int> ReadAsync(Memory<byte> buffer, long offset, CancellationToken cancellationToken)
        {
            try
            {
                return await RandomAccess.ReadAsync(handle, buffer, offset, cancellationToken);
            }
            catch (IOException error)
            {
                throw Unreadable(path, error);
            }
        }

        public void Dispose() => handle.Dispose();
    }
}
