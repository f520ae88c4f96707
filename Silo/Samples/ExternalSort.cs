namespace OrleansStreams.Silo.Samples;

/// <summary>How <see cref="ExternalSort{T}"/> orders, writes and reads its items.</summary>
public interface ISortFormat<T> : IComparer<T>
{
    /// <summary>Writes an item to a run.</summary>
    void Write(BinaryWriter writer, T item);

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    T Read(BinaryReader reader);
}

/// <summary>
/// Sorts more items than fit in memory: sorted runs on disk, then a k-way merge (Knuth, TAOCP volume 3, 5.4). Runs are deleted on
/// <see cref="Dispose"/>. Not safe for concurrent use. Items that compare equal come out in no particular order: make the order total.
/// </summary>
/// <param name="format">Order and format.</param>
/// <param name="folder">A folder of its own for the runs; created and deleted.</param>
/// <param name="itemsInMemory">The items held in memory at most.</param>
/// <param name="runsMax">The runs that are open at once at most; more are merged into one first.</param>
public sealed class ExternalSort<T>(ISortFormat<T> format, string folder, int itemsInMemory = 32_768, int runsMax = 64) : IDisposable
{
    private readonly List<string> _runs = [];
    private readonly List<T> _items = [];
    private int _runNumber;

    /// <summary>The items added so far.</summary>
    public long Count { get; private set; }

    /// <summary>Adds an item.</summary>
    public void Add(T item)
    {
        _items.Add(item);
        Count++;
        if (_items.Count >= itemsInMemory)
        {
            Spill();
        }
    }

    /// <summary>All items in order. Call once, after the last <see cref="Add"/>.</summary>
    public IEnumerable<T> Sorted()
    {
        _items.Sort(format);
        return _runs.Count == 0 ? _items : Merge([.. _runs.Select(ReadRun), _items]);
    }

    /// <summary>Deletes the runs.</summary>
    public void Dispose()
    {
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private void Spill()
    {
        _items.Sort(format);
        WriteRun(_items);
        _items.Clear();
        if (_runs.Count >= runsMax)
        {
            string[] merged = [.. _runs];
            _runs.Clear();
            WriteRun(Merge([.. merged.Select(ReadRun)]));
            foreach (var run in merged)
            {
                File.Delete(run);
            }
        }
    }

    private void WriteRun(IEnumerable<T> items)
    {
        Directory.CreateDirectory(folder);
        var path = Path.Combine(folder, $"run-{_runNumber++}");
        using var writer = new BinaryWriter(new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, 64 * 1024));
        foreach (var item in items)
        {
            writer.Write(true);
            format.Write(writer, item);
        }

        writer.Write(false);
        _runs.Add(path);
    }

    private IEnumerable<T> ReadRun(string path)
    {
        using var reader = new BinaryReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 32 * 1024, FileOptions.SequentialScan));
        while (reader.ReadBoolean())
        {
            yield return format.Read(reader);
        }
    }

    private IEnumerable<T> Merge(IReadOnlyList<IEnumerable<T>> runs)
    {
        var heads = new PriorityQueue<IEnumerator<T>, T>(runs.Count, format);
        try
        {
            foreach (var run in runs)
            {
                Advance(heads, run.GetEnumerator());
            }

            while (heads.TryDequeue(out var head, out var item))
            {
                yield return item;
                Advance(heads, head);
            }
        }
        finally
        {
            foreach (var (head, _) in heads.UnorderedItems)
            {
                head.Dispose();
            }
        }
    }

    private static void Advance(PriorityQueue<IEnumerator<T>, T> heads, IEnumerator<T> head)
    {
        if (head.MoveNext())
        {
            heads.Enqueue(head, head.Current);
        }
        else
        {
            head.Dispose();
        }
    }
}
