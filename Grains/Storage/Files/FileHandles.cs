namespace OrleansStreams.Storage.Files;

/// <summary>
/// Opens files when they are used and closes those that were not used for longest, so that a silo with any number of logs and segments holds a
/// bounded number of handles. A file with unflushed bytes stays open: the system tells of a write that failed only to whoever has it open.
/// </summary>
internal sealed class FileHandles(IFileSystem files, int openMax)
{
    private readonly Lock _gate = new();

    // The one that was not used for longest first.
    private readonly LinkedList<PooledFile> _open = new();

    /// <summary>The file system below.</summary>
    public IFileSystem Files => files;

    /// <summary>Handles that are open now.</summary>
    public int OpenCount
    {
        get
        {
            lock (_gate)
            {
                return _open.Count;
            }
        }
    }

    /// <summary>Opens a file.</summary>
    /// <param name="path">The file; it must not be renamed or replaced before it is disposed.</param>
    /// <param name="opening">How; a file that is created is opened again without emptying it.</param>
    /// <param name="isWatched">Whether it must stay open while it has unflushed bytes; false for a file whose loss is found out otherwise.</param>
    public IStorageFile Open(string path, FileOpening opening, bool isWatched = true)
    {
        var file = new PooledFile(this, path, opening == FileOpening.Read ? FileOpening.Read : FileOpening.ReadWrite, isWatched);
        file.Begin(files.Open(path, opening));
        Close(Surplus());
        return file;
    }

    private List<IStorageFile>? Surplus()
    {
        List<IStorageFile>? surplus = null;
        lock (_gate)
        {
            for (var node = _open.First; node is not null && _open.Count > openMax;)
            {
                var next = node.Next;
                if (node.Value.TakeIfIdle() is { } idle)
                {
                    _open.Remove(node);
                    (surplus ??= []).Add(idle);
                }

                node = next;
            }
        }

        return surplus;
    }

    private static void Close(List<IStorageFile>? surplus) => surplus?.ForEach(file => file.Dispose());

    private sealed class PooledFile(FileHandles handles, string path, FileOpening reopening, bool isWatched) : IStorageFile
    {
        private readonly LinkedListNode<PooledFile> _place = new(null!);
        private IStorageFile? _file;
        private int _users;
        private int _writes;
        private bool _isUnflushed;
        private bool _isDisposed;

        public long Length
        {
            get
            {
                var file = Enter();
                try
                {
                    return file.Length;
                }
                finally
                {
                    Leave();
                }
            }
        }

        public int Read(long position, Span<byte> buffer)
        {
            var file = Enter();
            try
            {
                return file.Read(position, buffer);
            }
            finally
            {
                Leave();
            }
        }

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> parts)
        {
            var file = Enter(writes: true);
            try
            {
                file.Write(position, parts);
            }
            finally
            {
                Leave();
            }
        }

        public void Prefetch(long position, long length)
        {
            var file = Enter();
            try
            {
                file.Prefetch(position, length);
            }
            finally
            {
                Leave();
            }
        }

        public void Flush()
        {
            var file = Enter();
            try
            {
                var writes = Volatile.Read(ref _writes);
                file.Flush();
                lock (handles._gate)
                {
                    _isUnflushed &= _writes != writes;
                }
            }
            finally
            {
                Leave();
            }
        }

        public void Truncate(long length)
        {
            var file = Enter(writes: true);
            try
            {
                file.Truncate(length);
            }
            finally
            {
                Leave();
            }
        }

        public void Begin(IStorageFile file)
        {
            lock (handles._gate)
            {
                _place.Value = this;
                _file = file;
                handles._open.AddLast(_place);
            }
        }

        /// <summary>Under the lock: the open file, to be closed, unless it is needed.</summary>
        public IStorageFile? TakeIfIdle()
        {
            if (_users > 0 || (isWatched && _isUnflushed))
            {
                return null;
            }

            var file = _file;
            _file = null;
            return file;
        }

        public void Dispose()
        {
            IStorageFile? file = null;
            lock (handles._gate)
            {
                _isDisposed = true;
                if (_users == 0)
                {
                    file = Take();
                }
            }

            file?.Dispose();
        }

        private IStorageFile Enter(bool writes = false)
        {
            List<IStorageFile>? surplus = null;
            IStorageFile file;
            lock (handles._gate)
            {
                ObjectDisposedException.ThrowIf(_isDisposed, this);
                if (_file is null)
                {
                    _file = handles.Files.Open(path, reopening);
                    handles._open.AddLast(_place);
                    _users++;
                    surplus = handles.Surplus();
                }
                else
                {
                    _users++;
                    if (_place.Next is not null)
                    {
                        handles._open.Remove(_place);
                        handles._open.AddLast(_place);
                    }
                }

                if (writes)
                {
                    _writes++;
                    _isUnflushed = true;
                }

                file = _file;
            }

            Close(surplus);
            return file;
        }

        private void Leave()
        {
            IStorageFile? file = null;
            List<IStorageFile>? surplus = null;
            lock (handles._gate)
            {
                if (--_users == 0 && _isDisposed)
                {
                    file = Take();
                }

                surplus = handles.Surplus();
            }

            file?.Dispose();
            Close(surplus);
        }

        private IStorageFile? Take()
        {
            var file = _file;
            _file = null;
            if (file is not null)
            {
                handles._open.Remove(_place);
            }

            return file;
        }
    }
}
