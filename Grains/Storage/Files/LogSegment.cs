namespace OrleansStreams.Storage.Files;

/// <summary>
/// One segment: its file, its index and what is known of it. End, size and time are guarded by the log's lock and tell what readers may
/// see; files are opened when they are needed. Writing is the business of the log's one writer.
/// </summary>
internal sealed class LogSegment : IDisposable
{
    /// <summary>Entries are written together when they span this much: after a crash recovery reads about as much behind the last one that was written.</summary>
    public const int BytesPerIndexWrite = 1024 * 1024;

    private readonly FileHandles _files;
    private readonly string _folder;
    private readonly Lock _gate = new();

    // Taken before _gate; orders those who write the index file.
    private readonly Lock _indexGate = new();
    private readonly WeakReference<SegmentIndex> _sealedIndex = new(null!);
    private SegmentIndex? _activeIndex;
    private IStorageFile? _data;
    private IStorageFile? _indexFile;
    private long _persistedPosition;
    private bool _isDisposed;

    private LogSegment(FileHandles files, string folder, long baseOffset, DurableMark mark)
    {
        _files = files;
        _folder = folder;
        BaseOffset = baseOffset;
        EndOffset = mark.EndOffset;
        Bytes = mark.Position;
        MaxTimestamp = mark.MaxTimestamp;
    }

    public long BaseOffset { get; }

    public long EndOffset { get; private set; }

    public long Bytes { get; private set; }

    public long MaxTimestamp { get; private set; }

    public DurableMark Mark => new(Bytes, EndOffset, MaxTimestamp);

    public LogSegmentInfo Info => new(BaseOffset, EndOffset, Bytes, Bytes == 0 ? -1 : MaxTimestamp);

    public string DataPath => LogPaths.SegmentFile(_folder, BaseOffset);

    private string IndexPath => LogPaths.IndexFile(_folder, BaseOffset);

    /// <summary>The file. An ObjectDisposedException tells a reader that the segment is gone.</summary>
    public IStorageFile Data
    {
        get
        {
            lock (_gate)
            {
                ObjectDisposedException.ThrowIf(_isDisposed, this);
                return _data ??= _files.Open(DataPath, FileOpening.Read);
            }
        }
    }

    /// <summary>The index. That of a sealed segment stays in memory only as long as there is room: it is 200 KiB for 128 MiB.</summary>
    public SegmentIndex Index
    {
        get
        {
            lock (_gate)
            {
                if (_activeIndex is not null)
                {
                    return _activeIndex;
                }

                ObjectDisposedException.ThrowIf(_isDisposed, this);
                if (!_sealedIndex.TryGetTarget(out var index))
                {
                    index = SegmentIndex.Load(_files.Files, IndexPath, BaseOffset);
                    _sealedIndex.SetTarget(index);
                }

                return index;
            }
        }
    }

    /// <summary>Makes a new segment, durably, or nothing.</summary>
    public static LogSegment Create(FileHandles files, string folder, long baseOffset)
    {
        var segment = new LogSegment(files, folder, baseOffset, new DurableMark(0, baseOffset, long.MinValue)) { _activeIndex = new SegmentIndex(baseOffset) };
        try
        {
            segment._data = files.Open(segment.DataPath, FileOpening.Create);
            segment._indexFile = files.Open(segment.IndexPath, FileOpening.Create, isWatched: false);

            // The mark "nothing yet" must be there: a segment without an index has lost it, and then damage and a torn tail look alike.
            segment._activeIndex.PersistAll(segment._indexFile, segment.Mark);
            files.Files.FlushDirectory(folder);
            return segment;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            segment.Dispose();
            segment.Undo(exception);
            throw;
        }
    }

    /// <summary>A segment that is never written again.</summary>
    public static LogSegment Sealed(FileHandles files, string folder, long baseOffset, DurableMark mark) => new(files, folder, baseOffset, mark);

    /// <summary>The segment that goes on, with its open files.</summary>
    public static LogSegment Active(
        FileHandles files, string folder, long baseOffset, DurableMark mark, SegmentIndex index, IStorageFile data, IStorageFile indexFile) =>
        new(files, folder, baseOffset, mark) { _activeIndex = index, _data = data, _indexFile = indexFile };

    /// <summary>A segment that takes the place of others: complete, its file open under another name still, its index only in memory.</summary>
    public static LogSegment Rewritten(FileHandles files, string folder, long baseOffset, DurableMark mark, SegmentIndex index, IStorageFile data) =>
        new(files, folder, baseOffset, mark) { _activeIndex = index, _data = data };

    /// <summary>
    /// A rewritten segment has its own name now: its file is opened by that from here on (a reader that is at the old handle begins again), its index is
    /// written, and it is like any sealed one.
    /// </summary>
    public void Settle()
    {
        IStorageFile? unnamed;
        lock (_gate)
        {
            unnamed = _data;
            _data = null;
        }

        unnamed?.Dispose();
        using (var file = _files.Files.Open(IndexPath, FileOpening.Create))
        {
            _activeIndex!.PersistAll(file, Mark);
        }

        Seal();
    }

    /// <summary>Tells what was written.</summary>
    public void Publish(DurableMark mark) => (Bytes, EndOffset, MaxTimestamp) = (mark.Position, mark.EndOffset, mark.MaxTimestamp);

    /// <summary>Notes in the index file how far the segment is on disk; nothing once it is sealed. May run beside the writer.</summary>
    public void PersistIndex(DurableMark flushed) => Persist(flushed, BytesPerIndexWrite);

    /// <summary>Completes the index file of a segment that was flushed; durably when no more will be written.</summary>
    public void CompleteIndex(bool flush)
    {
        Persist(Mark, 0);
        if (flush)
        {
            _indexFile!.Flush();
        }
    }

    /// <summary>From here on the segment is only read.</summary>
    public void Seal()
    {
        lock (_indexGate)
        {
            lock (_gate)
            {
                _indexFile?.Dispose();
                _indexFile = null;
                _sealedIndex.SetTarget(_activeIndex!);
                _activeIndex = null;
            }
        }
    }

    /// <summary>Deletes the files of a disposed segment.</summary>
    public void Delete()
    {
        _files.Files.DeleteFile(DataPath);
        _files.Files.DeleteFile(IndexPath);
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _isDisposed = true;
            _data?.Dispose();
            _indexFile?.Dispose();
        }
    }

    private void Persist(DurableMark mark, long spanMin)
    {
        lock (_indexGate)
        {
            if (_indexFile is { } file && _activeIndex is { } index && mark.Position >= _persistedPosition)
            {
                index.Persist(file, mark, spanMin);
                _persistedPosition = mark.Position;
            }
        }
    }

    /// <summary>
    /// Takes back a segment that was made by half, durably: the segment before it will grow past its base offset. Where that fails the
    /// log must not go on, so it is no full disk any more.
    /// </summary>
    private void Undo(Exception cause)
    {
        try
        {
            Delete();
            _files.Files.FlushDirectory(_folder);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"{cause.Message} Then: {exception.Message}", cause);
        }
    }
}
