using OrleansStreams.Processing.State;

namespace OrleansStreams.Processing.Journal;

/// <summary>
/// When a task's state is written whole, so that its journal stays short. A snapshot is begun when the journal has grown by twice the last snapshot's size (so that
/// its cost is amortised), and written in parts along with ordinary commits, so that processing never waits for it. A part is larger than the commit that carries it: so the journal grows meanwhile by
/// no more than half of the snapshot's size, however large commits and state are. It need not be a picture of one moment: each part holds
/// its windows as of the commit that carries it, every later change stands in later entries, and operations may be repeated. Hence a replay from
/// the entry that begins a snapshot gives the state, once the entry that ends it is durable.
/// </summary>
internal sealed class TaskSnapshots(IReadOnlyList<IStateStore> stores, long bytesMin, int partBytesMin = TaskSnapshots.PartBytesMin)
{
    /// <summary>Bytes of a snapshot in one commit at least: a millisecond of work.</summary>
    private const int PartBytesMin = 256 * 1024;

    /// <summary>Bytes of a snapshot in one commit at most, so that it is not held up for longer than 50 ms: a serializer writes 50 MB/s and more.</summary>
    internal const int PartBytesMax = 2 * 1024 * 1024;

    private long _bytesSinceBegin = long.MaxValue;
    private long _lastBytes;
    private long _bytes;
    private int _store = -1;

    public bool IsUnderWay => _store >= 0;

    /// <summary>Begins a snapshot when it is time: also with a task's very first commit, which is then the first that a restore can begin with.</summary>
    public bool TryBegin()
    {
        if (IsUnderWay || _bytesSinceBegin < Math.Max(bytesMin, 2 * _lastBytes))
        {
            return false;
        }

        _store = 0;
        _bytes = 0;
        foreach (var store in stores)
        {
            store.BeginSnapshot();
        }

        return true;
    }

    /// <summary>Writes the next part: per store its number, its schema, the number of operations, the operations; -1 ends it. True when it was the last.</summary>
    /// <param name="to">The entry.</param>
    /// <param name="commitBytes">The bytes of the commit that carries the part.</param>
    public bool WritePart(ByteBuffer to, int commitBytes = 0)
    {
        var begin = to.Length;
        var partBytes = (int)Math.Max(partBytesMin, Math.Min(PartBytesMax, 2L * commitBytes));
        while (_store < stores.Count && to.Length - begin < partBytes)
        {
            to.WriteInt32(_store);
            to.WriteInt32(stores[_store].SchemaVersion);
            var countAt = to.Length;
            to.WriteInt32(0);
            var (count, isLast) = stores[_store].WriteSnapshotPart(to, partBytes - (to.Length - begin));
            to.PatchInt32(countAt, count);
            _store += isLast ? 1 : 0;
        }

        to.WriteInt32(-1);
        _bytes += to.Length - begin;
        if (_store < stores.Count)
        {
            return false;
        }

        _store = -1;
        _lastBytes = _bytes;
        return true;
    }

    public void Written(int entryBytes, bool begins, bool ends) =>
        _bytesSinceBegin = begins ? entryBytes : _bytesSinceBegin + entryBytes;

    /// <summary>An entry was replayed. A snapshot that was under way at the crash is begun anew in time.</summary>
    public void Restored(int entryBytes) => _bytesSinceBegin = (_bytesSinceBegin == long.MaxValue ? 0 : _bytesSinceBegin) + entryBytes;
}
