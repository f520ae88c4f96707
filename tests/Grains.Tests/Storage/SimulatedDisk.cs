using System.Collections.Concurrent;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.Tests.Storage;

/// <summary>What a disk may do to an operation, and why storage must survive it.</summary>
internal enum DiskFault
{
    /// <summary>No room: a write leaves a part of its bytes. Happens on every disk some day.</summary>
    Full,

    /// <summary>A medium error: a write leaves a part of its bytes; a failed flush drops what it should have written and calls it clean (as Linux does).</summary>
    Error,

    /// <summary>Power fails in the middle of the operation: see <see cref="SimulatedDisk.AfterCrash"/>.</summary>
    Crash,
}

/// <summary>
/// A disk in memory that keeps only what POSIX promises: bytes of a file that was flushed, names of a directory that was flushed. On a
/// crash each unflushed page survives or not (also one that was cut off again), the length of a file lies anywhere between old and new, and
/// of the unflushed changes of names either those from some point on are lost (as where one journal keeps their order), or any of them (as where
/// each block of a directory is written when it pleases); but never one without an earlier one of the same name.
/// </summary>
internal sealed class SimulatedDisk : IFileSystem
{
    private const int PageBytes = 512;

    private readonly Lock _gate = new();
    private readonly Names _current = new();
    private readonly Names _durable = new();
    private readonly List<NameChange> _unflushed = [];
    private readonly HashSet<string> _locks = [];
    private Random _random = new(1);
    private bool _isDown;

    /// <summary>Operations that change something, so far.</summary>
    public int Operations { get; private set; }

    /// <summary>The operation that fails (from 1 on), and how.</summary>
    public (int Operation, DiskFault Fault)? FaultAt { get; set; }

    /// <summary>As long as it is set every write fails with it.</summary>
    public bool IsFull { get; set; }

    /// <summary>Called before each flush of a file, on the storage's thread, without any lock.</summary>
    public Action<string>? BeforeFlush { get; set; }

    /// <summary>The flushes of each file; tests look while storage flushes.</summary>
    public ConcurrentDictionary<string, int> Flushes { get; } = [];

    /// <summary>The writes of each file.</summary>
    public ConcurrentDictionary<string, int> Writes { get; } = [];

    /// <summary>Bytes read from files.</summary>
    public long BytesRead { get; private set; }

    /// <summary>Up to where each file was asked for ahead of reading.</summary>
    public Dictionary<string, long> Prefetched { get; } = [];

    public bool IsDown => _isDown;

    public int Seed
    {
        set => _random = new Random(value);
    }

    public IEnumerable<string> AllFiles
    {
        get
        {
            lock (_gate)
            {
                return [.. _current.Files.Keys.Order(StringComparer.Ordinal)];
            }
        }
    }

    /// <summary>The disk as the next start finds it; this one is down from now on.</summary>
    public SimulatedDisk AfterCrash(int seed)
    {
        lock (_gate)
        {
            _isDown = true;
            return CopyAfterCrash(seed);
        }
    }

    /// <summary>The disk as a start would find it if power failed now; this one goes on.</summary>
    public SimulatedDisk CopyAfterCrash(int seed)
    {
        lock (_gate)
        {
            var random = new Random(seed);
            var durable = _durable.Copy();
            foreach (var change in Surviving(random))
            {
                change.Apply(durable);
            }

            var disk = new SimulatedDisk { Seed = seed };
            disk._current.Directories.UnionWith(durable.Directories);
            disk._durable.Directories.UnionWith(durable.Directories);
            foreach (var (path, inode) in durable.Files)
            {
                if (durable.Directories.Contains(Path.GetDirectoryName(path)!))
                {
                    var survivor = inode.AfterCrash(random);
                    disk._current.Files.Add(path, survivor);
                    disk._durable.Files.Add(path, survivor);
                }
            }

            return disk;
        }
    }

    /// <summary>The process dies and the machine lives on: everything written is there, the locks are gone.</summary>
    public void KillProcess()
    {
        lock (_gate)
        {
            _locks.Clear();
        }
    }

    public byte[] Bytes(string path)
    {
        lock (_gate)
        {
            return [.. _current.Files[path].Current];
        }
    }

    public void Overwrite(string path, byte[] bytes)
    {
        lock (_gate)
        {
            var inode = new Inode();
            inode.Write(0, bytes);
            inode.Flush();
            _current.Files[path] = inode;
            _durable.Files[path] = inode;
        }
    }

    public bool FileExists(string path)
    {
        lock (_gate)
        {
            CheckUp();
            return _current.Files.ContainsKey(path);
        }
    }

    public bool DirectoryExists(string path)
    {
        lock (_gate)
        {
            CheckUp();
            return _current.Directories.Contains(path);
        }
    }

    public void CreateDirectory(string path) => ChangeNames([path], names => names.Directories.Add(path));

    public IReadOnlyList<string> ListFiles(string directory) => List(directory, _current.Files.Keys);

    public IReadOnlyList<string> ListDirectories(string directory) => List(directory, _current.Directories);

    public IStorageFile Open(string path, FileOpening opening)
    {
        lock (_gate)
        {
            CheckUp();
            if (opening == FileOpening.Create)
            {
                if (!_current.Directories.Contains(Path.GetDirectoryName(path)!))
                {
                    throw new DirectoryNotFoundException(path);
                }

                if (_current.Files.TryGetValue(path, out var existing))
                {
                    Operate(() => existing.Truncate(0, _random));
                }
                else
                {
                    var created = new Inode();
                    ChangeNames([path], names => names.Files[path] = created);
                }
            }

            return _current.Files.TryGetValue(path, out var inode) ? new OpenFile(this, path, inode) : throw new FileNotFoundException(path);
        }
    }

    public void Rename(string from, string to) => ChangeNames([from, to], names =>
    {
        if (names.Files.Remove(from, out var inode))
        {
            names.Files[to] = inode;
            return;
        }

        names.Directories.Remove(from);
        names.Directories.Add(to);
        foreach (var path in names.Files.Keys.Where(path => Path.GetDirectoryName(path) == from).ToList())
        {
            names.Files.Remove(path, out inode);
            names.Files[Path.Join(to, Path.GetFileName(path))] = inode!;
        }
    });

    public void DeleteFile(string path) => ChangeNames([path], names => names.Files.Remove(path));

    public void DeleteDirectory(string path)
    {
        if (ListFiles(path).Count > 0 || ListDirectories(path).Count > 0)
        {
            throw new IOException($"'{path}' is not empty.");
        }

        ChangeNames([path], names => names.Directories.Remove(path));
    }

    public void FlushDirectory(string path)
    {
        lock (_gate)
        {
            Operate(() =>
            {
                foreach (var change in _unflushed.Where(change => change.Directory == path))
                {
                    change.Apply(_durable);
                }

                _unflushed.RemoveAll(change => change.Directory == path);
            });
        }
    }

    public IDisposable? TryLock(string path)
    {
        lock (_gate)
        {
            CheckUp();
            return _locks.Add(path) ? new Unlock(this, path) : null;
        }
    }

    private IReadOnlyList<string> List(string directory, IEnumerable<string> paths)
    {
        lock (_gate)
        {
            CheckUp();
            return [.. paths.Where(path => Path.GetDirectoryName(path) == directory).Select(path => Path.GetFileName(path))];
        }
    }

    private void ChangeNames(string[] paths, Action<Names> change)
    {
        lock (_gate)
        {
            Operate(() =>
            {
                change(_current);
                _unflushed.Add(new NameChange(paths, change));
            });
        }
    }

    /// <summary>The unflushed changes of names that a crash leaves, in their order.</summary>
    private List<NameChange> Surviving(Random random)
    {
        var inOrder = random.Next(2) == 0;
        var certain = random.Next(_unflushed.Count + 1);
        if (inOrder)
        {
            return _unflushed[..certain];
        }

        var (survivors, lost) = (new List<NameChange>(), new List<NameChange>());
        foreach (var change in _unflushed)
        {
            (random.Next(2) == 0 || lost.Exists(change.DependsOn) ? lost : survivors).Add(change);
        }

        return survivors;
    }

    /// <summary>Does an operation, or what a fault leaves of it.</summary>
    private void Operate(Action operation, Action? half = null)
    {
        CheckUp();
        Operations++;
        if (IsFull && half is not null)
        {
            half();
            throw new DiskFullException("The simulated disk is full.");
        }

        if (FaultAt is not { } fault || fault.Operation != Operations)
        {
            operation();
            return;
        }

        half?.Invoke();
        switch (fault.Fault)
        {
            case DiskFault.Full:
                throw new DiskFullException("The simulated disk is full.");
            case DiskFault.Error:
                throw new IOException("The simulated disk has a medium error.");
            default:
                _isDown = true;
                throw new IOException("The simulated machine lost power.");
        }
    }

    private void CheckUp()
    {
        if (_isDown)
        {
            throw new IOException("The simulated machine is down.");
        }
    }

    /// <summary>A change of names in one directory.</summary>
    private sealed record NameChange(string[] Paths, Action<Names> Apply)
    {
        public string Directory { get; } = Path.GetDirectoryName(Paths[0])!;

        /// <summary>Whether an earlier change is of a name that this one is of too, or of a folder on the way to one, or of something below one.</summary>
        public bool DependsOn(NameChange earlier) => Array.Exists(Paths, path => Array.Exists(earlier.Paths, other => IsAtOrBelow(path, other) || IsAtOrBelow(other, path)));

        private static bool IsAtOrBelow(string path, string folder) =>
            path.StartsWith(folder, StringComparison.Ordinal) && (path.Length == folder.Length || path[folder.Length] == '/');
    }

    private sealed class Names
    {
        public HashSet<string> Directories { get; } = ["/"];

        public Dictionary<string, Inode> Files { get; } = [];

        public Names Copy()
        {
            var copy = new Names();
            copy.Directories.UnionWith(Directories);
            foreach (var (path, inode) in Files)
            {
                copy.Files.Add(path, inode);
            }

            return copy;
        }
    }

    private sealed class Inode
    {
        private readonly HashSet<int> _dirty = [];
        private byte[] _durable = [];

        public byte[] Current { get; private set; } = [];

        public void Write(long position, ReadOnlySpan<byte> bytes)
        {
            if (position + bytes.Length > Current.Length)
            {
                var grown = new byte[position + bytes.Length];
                Current.CopyTo(grown, 0);
                Current = grown;
            }

            bytes.CopyTo(Current.AsSpan((int)position));
            for (var page = position / PageBytes; page <= (position + bytes.Length - 1) / PageBytes; page++)
            {
                _dirty.Add((int)page);
            }
        }

        public void Truncate(long length, Random random)
        {
            if (random.Next(2) == 0)
            {
                // The system wrote it back meanwhile: what is cut off now may come back after a crash.
                _durable = Survivor(Current.Length, _ => true);
            }

            var cut = new byte[length];
            Current.AsSpan(0, (int)Math.Min(length, Current.Length)).CopyTo(cut);
            Current = cut;
            _dirty.Add((int)(length / PageBytes));
        }

        public void Flush()
        {
            _durable = Survivor(Current.Length, _ => true);
            _dirty.Clear();
        }

        public void DropDirty() => _dirty.Clear();

        public Inode AfterCrash(Random random)
        {
            var (low, high) = (Math.Min(_durable.Length, Current.Length), Math.Max(_durable.Length, Current.Length));
            var length = _dirty.Count == 0 ? _durable.Length : random.Next(3) switch { 0 => Current.Length, 1 => _durable.Length, _ => random.Next(low, high + 1) };
            var bytes = Survivor(length, _ => random.Next(2) == 0);
            return new Inode { Current = bytes, _durable = [.. bytes] };
        }

        private byte[] Survivor(int length, Func<int, bool> keeps)
        {
            var bytes = new byte[length];
            _durable.AsSpan(0, Math.Min(length, _durable.Length)).CopyTo(bytes);
            foreach (var page in _dirty.Order())
            {
                var from = page * PageBytes;
                var count = Math.Min(PageBytes, Math.Min(Current.Length, length) - from);
                if (count > 0 && keeps(page))
                {
                    Current.AsSpan(from, count).CopyTo(bytes.AsSpan(from));
                }
            }

            return bytes;
        }
    }

    private sealed class Unlock(SimulatedDisk disk, string path) : IDisposable
    {
        public void Dispose()
        {
            lock (disk._gate)
            {
                disk._locks.Remove(path);
            }
        }
    }

    private sealed class OpenFile(SimulatedDisk disk, string path, Inode inode) : IStorageFile
    {
        private bool _isDisposed;

        public long Length => Locked(() => inode.Current.Length);

        public int Read(long position, Span<byte> buffer)
        {
            lock (disk._gate)
            {
                disk.CheckUp();
                ObjectDisposedException.ThrowIf(_isDisposed, this);
                var count = (int)Math.Clamp(inode.Current.Length - position, 0, buffer.Length);
                inode.Current.AsSpan((int)Math.Min(position, inode.Current.Length), count).CopyTo(buffer);
                disk.BytesRead += count;
                return count;
            }
        }

        public void Prefetch(long position, long length)
        {
            lock (disk._gate)
            {
                disk.Prefetched[path] = Math.Max(disk.Prefetched.GetValueOrDefault(path), position + length);
            }
        }

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> parts) => Locked(() =>
        {
            disk.Writes[path] = disk.Writes.GetValueOrDefault(path) + 1;
            var bytes = parts.SelectMany(part => part.ToArray()).ToArray();
            disk.Operate(() => inode.Write(position, bytes), () =>
            {
                var count = disk._random.Next(bytes.Length);
                if (count > 0)
                {
                    inode.Write(position, bytes.AsSpan(0, count));
                }
            });
            return 0;
        });

        public void Flush()
        {
            disk.BeforeFlush?.Invoke(path);
            Locked(() =>
            {
                disk.Flushes[path] = disk.Flushes.GetValueOrDefault(path) + 1;
                if (disk.FaultAt == (disk.Operations + 1, DiskFault.Error) || disk.FaultAt == (disk.Operations + 1, DiskFault.Full))
                {
                    inode.DropDirty();
                }

                disk.Operate(inode.Flush);
                return 0;
            });
        }

        public void Truncate(long length) => Locked(() =>
        {
            disk.Operate(() => inode.Truncate(length, disk._random));
            return 0;
        });

        public void Dispose()
        {
            lock (disk._gate)
            {
                _isDisposed = true;
            }
        }

        private T Locked<T>(Func<T> action)
        {
            lock (disk._gate)
            {
                disk.CheckUp();
                ObjectDisposedException.ThrowIf(_isDisposed, this);
                return action();
            }
        }
    }
}
