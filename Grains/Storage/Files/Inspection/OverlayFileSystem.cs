namespace OrleansStreams.Storage.Files.Inspection;

/// <summary>
/// A view of another file system whose changes stay in memory, so that recovery itself can show what it would do. Only pages that were written take
/// memory: what a recovery touches. Safe for concurrent use.
/// </summary>
internal sealed class OverlayFileSystem(IFileSystem files) : IFileSystem
{
    private readonly Lock _gate = new();

    // What differs from the file system below; null for what is deleted.
    private readonly Dictionary<string, OverlayContent?> _files = new(StringComparer.Ordinal);
    private readonly Dictionary<string, bool> _directories = new(StringComparer.Ordinal);

    public bool FileExists(string path)
    {
        lock (_gate)
        {
            return _files.TryGetValue(path, out var content) ? content is not null : files.FileExists(path);
        }
    }

    public bool DirectoryExists(string path)
    {
        lock (_gate)
        {
            return _directories.TryGetValue(path, out var exists) ? exists : files.DirectoryExists(path);
        }
    }

    public void CreateDirectory(string path)
    {
        lock (_gate)
        {
            _directories[path] = true;
        }
    }

    public IReadOnlyList<string> ListFiles(string directory)
    {
        lock (_gate)
        {
            var names = new SortedSet<string>(files.DirectoryExists(directory) ? files.ListFiles(directory) : [], StringComparer.Ordinal);
            foreach (var (path, content) in _files.Where(file => Path.GetDirectoryName(file.Key) == directory))
            {
                _ = content is null ? names.Remove(Path.GetFileName(path)) : names.Add(Path.GetFileName(path));
            }

            return [.. names];
        }
    }

    public IReadOnlyList<string> ListDirectories(string directory)
    {
        lock (_gate)
        {
            var names = new SortedSet<string>(files.DirectoryExists(directory) ? files.ListDirectories(directory) : [], StringComparer.Ordinal);
            foreach (var (path, exists) in _directories.Where(entry => Path.GetDirectoryName(entry.Key) == directory))
            {
                _ = exists ? names.Add(Path.GetFileName(path)) : names.Remove(Path.GetFileName(path));
            }

            return [.. names];
        }
    }

    public IStorageFile Open(string path, FileOpening opening)
    {
        lock (_gate)
        {
            if (opening == FileOpening.Create)
            {
                var empty = new OverlayContent(null);
                _files[path] = empty;
                return new OverlayFile(empty);
            }

            if (!_files.TryGetValue(path, out var content))
            {
                content = new OverlayContent(files.Open(path, FileOpening.Read));
                _files[path] = content;
            }

            return new OverlayFile(content ?? throw new FileNotFoundException($"Could not find file '{path}'.", path));
        }
    }

    /// <summary>Renames a file. Nothing that an inspection does renames a folder.</summary>
    public void Rename(string from, string to)
    {
        lock (_gate)
        {
            if (!_files.TryGetValue(from, out var content))
            {
                content = new OverlayContent(files.Open(from, FileOpening.Read));
            }

            _files[to] = content ?? throw new FileNotFoundException($"Could not find file '{from}'.", from);
            _files[from] = null;
        }
    }

    public void DeleteFile(string path)
    {
        lock (_gate)
        {
            _files[path] = null;
        }
    }

    public void DeleteDirectory(string path)
    {
        lock (_gate)
        {
            _directories[path] = false;
        }
    }

    public void FlushDirectory(string path)
    {
        // There is nothing to make durable.
    }

    /// <summary>The real lock: a folder that a server writes to meanwhile would look damaged. Who may only read it, does so at his own risk.</summary>
    public IDisposable? TryLock(string path)
    {
        try
        {
            return files.TryLock(path);
        }
        catch (UnauthorizedAccessException)
        {
            return new MemoryStream(0);
        }
    }

    /// <summary>Lets go of the files below.</summary>
    public void Close()
    {
        lock (_gate)
        {
            foreach (var content in _files.Values)
            {
                content?.Close();
            }

            _files.Clear();
        }
    }

    private sealed class OverlayFile(OverlayContent content) : IStorageFile
    {
        public long Length => content.Length;

        public int Read(long position, Span<byte> buffer) => content.Read(position, buffer);

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> parts)
        {
            foreach (var part in parts)
            {
                content.Write(position, part.Span);
                position += part.Length;
            }
        }

        public void Flush()
        {
            // There is nothing to make durable.
        }

        public void Prefetch(long position, long length)
        {
            // A hint; what is below reads ahead by itself.
        }

        public void Truncate(long length) => content.Truncate(length);

        public void Dispose()
        {
            // The content lives as long as the overlay.
        }
    }
}

/// <summary>A file of the overlay: pages that were written, above what the file below has.</summary>
internal sealed class OverlayContent
{
    private const int PageBytes = 64 * 1024;

    private readonly Lock _gate = new();
    private readonly Dictionary<long, byte[]> _pages = [];
    private readonly IStorageFile? _below;
    private long _visibleBelow;
    private long _length;

    public OverlayContent(IStorageFile? below)
    {
        _below = below;
        _length = _visibleBelow = below?.Length ?? 0;
    }

    public long Length
    {
        get
        {
            lock (_gate)
            {
                return _length;
            }
        }
    }

    public int Read(long position, Span<byte> buffer)
    {
        lock (_gate)
        {
            var count = (int)Math.Clamp(_length - position, 0, buffer.Length);
            for (var done = 0; done < count;)
            {
                var (page, at) = Math.DivRem(position + done, PageBytes);
                var part = buffer.Slice(done, (int)Math.Min(count - done, PageBytes - at));
                if (_pages.TryGetValue(page, out var bytes))
                {
                    bytes.AsSpan((int)at, part.Length).CopyTo(part);
                }
                else
                {
                    ReadBelow(position + done, part);
                }

                done += part.Length;
            }

            return count;
        }
    }

    public void Write(long position, ReadOnlySpan<byte> bytes)
    {
        lock (_gate)
        {
            for (var done = 0; done < bytes.Length;)
            {
                var (page, at) = Math.DivRem(position + done, PageBytes);
                var part = bytes.Slice(done, (int)Math.Min(bytes.Length - done, PageBytes - at));
                part.CopyTo(PageOf(page).AsSpan((int)at));
                done += part.Length;
            }

            _length = Math.Max(_length, position + bytes.Length);
        }
    }

    public void Truncate(long length)
    {
        lock (_gate)
        {
            if (length < _length)
            {
                _visibleBelow = Math.Min(_visibleBelow, length);
                foreach (var page in _pages.Keys.Where(page => page * PageBytes >= length).ToList())
                {
                    _pages.Remove(page);
                }

                var (last, at) = Math.DivRem(length, PageBytes);
                if (_pages.TryGetValue(last, out var bytes))
                {
                    bytes.AsSpan((int)at).Clear();
                }
            }

            _length = length;
        }
    }

    public void Close() => _below?.Dispose();

    private byte[] PageOf(long page)
    {
        if (!_pages.TryGetValue(page, out var bytes))
        {
            bytes = new byte[PageBytes];
            ReadBelow(page * PageBytes, bytes);
            _pages.Add(page, bytes);
        }

        return bytes;
    }

    private void ReadBelow(long position, Span<byte> buffer)
    {
        var count = (int)Math.Clamp(_visibleBelow - position, 0, buffer.Length);
        if (count > 0 && _below!.Read(position, buffer[..count]) < count)
        {
            throw new EndOfStreamException("A file became shorter while it was read: does somebody write to the folder?");
        }

        buffer[count..].Clear();
    }
}
