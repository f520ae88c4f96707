// The one place that touches files (DESIGN 9): everything above it goes through IFileSystem.
#pragma warning disable RS0030
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace OrleansStreams.Storage.Files;

/// <summary>The operating system's file system.</summary>
internal sealed class PhysicalFileSystem : IFileSystem
{
    // errno and Win32 values: no space left, quota exceeded, locked by another, disk full.
    private const int Enospc = 28;
    private const int EdquotLinux = 122;
    private const int EdquotMac = 69;
    private const int EwouldblockLinux = 11;
    private const int EwouldblockMac = 35;
    private const int SharingViolation = unchecked((int)0x80070020);
    private const int HandleDiskFull = unchecked((int)0x80070027);
    private const int DiskFull = unchecked((int)0x80070070);

    public bool FileExists(string path) => File.Exists(path);

    public bool DirectoryExists(string path) => Directory.Exists(path);

    public void CreateDirectory(string path) => Guard(path, static p => Directory.CreateDirectory(p));

    public IReadOnlyList<string> ListFiles(string directory) => Guard(directory, static d => Array.ConvertAll(Directory.GetFiles(d), f => Path.GetFileName(f)));

    public IReadOnlyList<string> ListDirectories(string directory) =>
        Guard(directory, static d => Array.ConvertAll(Directory.GetDirectories(d), f => Path.GetFileName(f)));

    public IStorageFile Open(string path, FileOpening opening) => Guard(path, p => new PhysicalFile(p, File.OpenHandle(
        p,
        opening switch { FileOpening.Create => FileMode.Create, _ => FileMode.Open },
        opening == FileOpening.Read ? FileAccess.Read : FileAccess.ReadWrite,
        FileShare.ReadWrite | FileShare.Delete)));

    public void Rename(string from, string to) => Guard(from, p =>
    {
        if (Directory.Exists(p))
        {
            Directory.Move(p, to);
        }
        else
        {
            File.Move(p, to, overwrite: true);
        }

        return 0;
    });

    public void DeleteFile(string path) => Guard(path, static p =>
    {
        File.Delete(p);
        return 0;
    });

    public void DeleteDirectory(string path) => Guard(path, static p =>
    {
        Directory.Delete(p);
        return 0;
    });

    public void FlushDirectory(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            // NTFS journals names itself, and a directory has no handle to flush.
            return;
        }

        // The framework opens no directories.
        var descriptor = NativeMethods.Open(path, 0);
        if (descriptor < 0)
        {
            throw Error(path);
        }

        try
        {
            if (NativeMethods.Fsync(descriptor) != 0)
            {
                throw Error(path);
            }
        }
        finally
        {
            _ = NativeMethods.Close(descriptor);
        }

        static IOException Error(string path) => new($"Cannot flush directory '{path}': {Marshal.GetLastPInvokeErrorMessage()}.");
    }

    public IDisposable? TryLock(string path) => Guard(path, static p =>
    {
        try
        {
            // The lock belongs to the open file: the system lets go of it when the process dies, however it dies.
            return File.OpenHandle(p, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException exception) when (exception.HResult is EwouldblockLinux or EwouldblockMac or SharingViolation)
        {
            return null;
        }
    });

    private static T Guard<T>(string path, Func<string, T> action)
    {
        try
        {
            return action(path);
        }
        catch (IOException exception) when (IsDiskFull(exception))
        {
            throw new DiskFullException($"No space left for '{path}'.", exception);
        }
    }

    private static bool IsDiskFull(IOException exception) => OperatingSystem.IsWindows()
        ? exception.HResult is HandleDiskFull or DiskFull
        : exception.HResult is Enospc || exception.HResult == (OperatingSystem.IsMacOS() ? EdquotMac : EdquotLinux);

    private static class NativeMethods
    {
        [DllImport("libc", EntryPoint = "open", SetLastError = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

        [DllImport("libc", EntryPoint = "fsync", SetLastError = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int Fsync(int descriptor);

        /// <summary>posix_fadvise's POSIX_FADV_WILLNEED on Linux.</summary>
        public const int WillNeed = 3;

        [DllImport("libc", EntryPoint = "posix_fadvise")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int Advise(SafeFileHandle file, long position, long length, int advice);

        [DllImport("libc", EntryPoint = "close")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int Close(int descriptor);
    }

    private sealed class PhysicalFile(string path, SafeFileHandle handle) : IStorageFile
    {
        public long Length => RandomAccess.GetLength(handle);

        public int Read(long position, Span<byte> buffer)
        {
            var total = 0;
            while (total < buffer.Length)
            {
                var count = RandomAccess.Read(handle, buffer[total..], position + total);
                if (count == 0)
                {
                    break;
                }

                total += count;
            }

            return total;
        }

        public void Prefetch(long position, long length)
        {
            if (OperatingSystem.IsLinux())
            {
                _ = NativeMethods.Advise(handle, position, length, NativeMethods.WillNeed);
            }
        }

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> parts) => Guard(path, _ =>
        {
            if (parts.Count == 1)
            {
                RandomAccess.Write(handle, parts[0].Span, position);
            }
            else
            {
                RandomAccess.Write(handle, parts, position);
            }

            return 0;
        });

        public void Flush() => Guard(path, _ =>
        {
            RandomAccess.FlushToDisk(handle);
            return 0;
        });

        public void Truncate(long length) => Guard(path, _ =>
        {
            RandomAccess.SetLength(handle, length);
            return 0;
        });

        public void Dispose() => handle.Dispose();
    }
}
