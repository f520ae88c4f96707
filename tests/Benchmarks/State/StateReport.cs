using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Processing;
using OrleansStreams.Processing.Journal;
using OrleansStreams.Processing.State;
using OrleansStreams.Records;

namespace OrleansStreams.Benchmarks.State;

/// <summary>
/// A keyed store of many keys beside one of few: what an update, a commit, a snapshot and a restore cost. Keys and values are 64-bit integers; the raw bound of updates is a
/// dictionary of .NET under the same keys.
/// </summary>
internal static class StateReport
{
    private const int Few = 10_000;
    private const long Many = 10_000_000;
    private const long Updates = 5_000_000;
    private const int ChangesPerCommit = 1000;

    public static async Task RunAsync(ReportOptions options)
    {
        var many = (int)options.Scaled(Many);
        ReportTable.Title($"state: {Few:#,0} keys beside {many:#,0}, int64 to int64, median of {options.Repeats}");
        ReportTable.Columns();
        foreach (var keys in (int[])[Few, many])
        {
            await UpdatesAsync(keys, options);
        }

        await EngineThroughput.ReportAsync(Few, many, options);
        await CommitsAsync(many, options);
        await WindowReport.RunAsync(options);
        await new GuaranteeCost(options).RunAsync();
        await RestartReport.RunAsync(options);
        var store = Filled(many, out var bytesPerKey, out var journal);
        ReportTable.Line(new Measurement("memory, bytes a key (ours: what the store says; bound: managed heap)", (double)store.Bytes / many, bytesPerKey, store.Bytes / (many * bytesPerKey)));
        Restore(journal, many, options);
        Snapshot(store, many);
        Order(store, many);
    }

    /// <summary>Windows alone.</summary>
    public static async Task WindowsAsync(ReportOptions options)
    {
        ReportTable.Title($"windows, median of {options.Repeats}");
        ReportTable.Columns();
        await WindowReport.RunAsync(options);
    }

    /// <summary>Many keys beside few, alone.</summary>
    public static async Task KeysAsync(ReportOptions options)
    {
        var many = (int)options.Scaled(Many);
        ReportTable.Title($"keys: {Few:#,0} beside {many:#,0}, median of {options.Repeats}");
        ReportTable.Columns();
        await EngineThroughput.ReportAsync(Few, many, options);
    }

    /// <summary>Restarts alone.</summary>
    public static async Task RestartAsync(ReportOptions options)
    {
        ReportTable.Title($"restarts, median of {Math.Min(options.Repeats, 3)}");
        ReportTable.Columns();
        await RestartReport.RunAsync(options);
    }

    /// <summary>Commits, snapshots and orders alone: what may hold processing up.</summary>
    public static async Task CommitsAsync(ReportOptions options)
    {
        var many = (int)options.Scaled(Many);
        ReportTable.Title($"commits, snapshots and orders: {many:#,0} keys");
        ReportTable.Columns();
        await CommitsAsync(many, options);
        var store = Filled(many, out _, out _);
        Snapshot(store, many);
        Order(store, many);
    }

    /// <summary>The part that needs a silo.</summary>
    public static async Task GuaranteesAsync(ReportOptions options)
    {
        ReportTable.Title($"guarantees: from the log to the log in one silo, flush always, median of {options.Repeats}");
        ReportTable.Columns();
        await new GuaranteeCost(options).RunAsync();
    }

    private static async Task UpdatesAsync(int keys, ReportOptions options)
    {
        var store = Filled(keys, out _, out _);
        var dictionary = new Dictionary<long, long>();
        for (var key = 0; key < keys; key++)
        {
            dictionary.Add(Scattered(key), key);
        }

        var updates = options.Scaled(Updates);
        ReportTable.Line(await Measurement.MedianOfAsync(
            string.Create(CultureInfo.InvariantCulture, $"updates/s of random keys among {keys:#,0}"),
            options.Repeats,
            run => Task.FromResult(Cost.Of(updates, () => Update(store, keys, updates, run))),
            () => Cost.Of(updates, () => Update(dictionary, keys, updates))));
    }

    private static void Update(KeyValueStore<long, long> store, int keys, long updates, int seed)
    {
        var random = new Random(seed);
        for (var update = 0L; update < updates; update++)
        {
            var key = store.BytesOf(Scattered(random.Next(keys)));
            var slot = store.Find(key);
            store.Set(slot, store.ValueOf(slot) + 1);
        }
    }

    private static void Update(Dictionary<long, long> dictionary, int keys, long updates)
    {
        var random = new Random(1);
        for (var update = 0L; update < updates; update++)
        {
            CollectionsMarshal.GetValueRefOrNullRef(dictionary, Scattered(random.Next(keys)))++;
        }
    }

    /// <summary>
    /// Commits of the same number of changed keys, drawn from all of a store of 1,000 keys and of many: from the changes to the append to the journal that has returned, by turns. Commits that carry a part
    /// of a snapshot are not among them: those are amortised, and have a bound of their own.
    /// </summary>
    private static async Task CommitsAsync(int many, ReportOptions options)
    {
        await using var small = await EngineThroughput.PreloadedAsync(ChangesPerCommit);
        await using var large = await EngineThroughput.PreloadedAsync(many);
        var random = new Random(1);
        var rounds = 200 * options.Repeats;
        var (smalls, larges) = (new List<double>(rounds), new List<double>(rounds));
        while (smalls.Count < rounds || larges.Count < rounds)
        {
            await CommitAsync(small, smalls, Enumerable.Range(0, ChangesPerCommit).ToArray());

            // One key of each thousandth of all: none twice.
            await CommitAsync(large, larges, [.. Enumerable.Range(0, ChangesPerCommit).Select(part => (int)((part + random.NextDouble()) * many / ChangesPerCommit))]);
        }

        foreach (var (name, part) in ((string, double)[])[("median", 0.5), ("99th percentile", 0.99)])
        {
            var (few, lots) = (Statistics.Percentile(smalls.Order().ToArray(), part), Statistics.Percentile(larges.Order().ToArray(), part));
            var measurement = new Measurement(
                string.Create(CultureInfo.InvariantCulture, $"commit of {ChangesPerCommit:#,0} changes, {name}, us: {many:#,0} keys; bound: {ChangesPerCommit:#,0}"), lots * 1000, few * 1000, lots / few);
            if (part == 0.5)
            {
                ReportTable.Against(measurement, "within 20 %", lots <= 1.2 * few);
            }
            else
            {
                ReportTable.Line(measurement);
            }
        }
    }

    private static async Task CommitAsync(JournaledEngine engine, List<double> times, int[] keys)
    {
        new Random(times.Count).Shuffle(keys);
        engine.Process(EngineThroughput.Batches(ChangesPerCommit, number => keys[number]).Single());
        var snapshots = engine.Snapshots;
        var begin = Stopwatch.GetTimestamp();
        await engine.CommitAsync();
        var ms = Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
        if (!engine.IsSnapshotUnderWay && engine.Snapshots == snapshots)
        {
            times.Add(ms);
        }
    }

    /// <summary>The order of all keys for the first range query, in turns as a task makes it.</summary>
    private static void Order(KeyValueStore<long, long> store, int many)
    {
        var (longest, isComplete) = (0.0, false);
        var all = Stopwatch.GetTimestamp();
        while (!isComplete)
        {
            var begin = Stopwatch.GetTimestamp();
            isComplete = store.Order(TaskEngine.OrderSlots);
            longest = Math.Max(longest, Stopwatch.GetElapsedTime(begin).TotalMilliseconds);
        }

        var seconds = Stopwatch.GetElapsedTime(all).TotalSeconds;
        ReportTable.Pause(string.Create(CultureInfo.InvariantCulture, $"order of {many:#,0} keys for a first range, longest turn, ms"), longest);
        var page = Stopwatch.GetTimestamp();
        store.Scan(new StorePage(new StoreScan("store", default, default, long.MinValue, long.MaxValue, 1000)));
        ReportTable.Note(string.Create(CultureInfo.InvariantCulture, $"{seconds:0.0} s for all of them; then a page of 1,000 rows {Stopwatch.GetElapsedTime(page).TotalMilliseconds:0.00} ms"));
    }

    private static void Restore(List<byte[]> journal, int many, ReportOptions options)
    {
        var bytes = journal.Sum(entry => (long)entry.Length);
        var speeds = new List<double>();
        for (var run = 0; run < options.Repeats; run++)
        {
            var store = new KeyValueStore<long, long>("restored", Serdes.Int64, Serdes.Int64);
            var begin = Stopwatch.GetTimestamp();
            foreach (var entry in journal)
            {
                var reader = new ByteReader(entry);
                store.Apply(ref reader, reader.ReadInt32());
            }

            speeds.Add(bytes / Stopwatch.GetElapsedTime(begin).TotalMinutes / (1 << 30));
            if (store.Entries != many)
            {
                throw new InvalidOperationException("The restored store is not the one that was written.");
            }
        }

        var speed = Statistics.Median(speeds);
        ReportTable.Against(new Measurement("restore of journal entries in memory, GiB/min (bound: wanted)", speed, 1, speed), ">= 1 GiB/min", speed >= 1);
    }

    /// <summary>A snapshot in parts, along with commits: the longest that one of them held processing up.</summary>
    private static void Snapshot(KeyValueStore<long, long> store, int many)
    {
        var snapshots = new TaskSnapshots([store], 1);
        var buffer = new ByteBuffer();
        var parts = new List<double>();
        var random = new Random(1);
        var pauses = GC.GetTotalPauseDuration();
        for (var isLast = !snapshots.TryBegin(); !isLast;)
        {
            for (var change = 0; change < ChangesPerCommit; change++)
            {
                store.Put(store.BytesOf(Scattered(random.Next(many))), change);
            }

            buffer.Clear();
            var begin = Stopwatch.GetTimestamp();
            store.DrainOps(buffer);
            isLast = snapshots.WritePart(buffer, buffer.Length);
            parts.Add(Stopwatch.GetElapsedTime(begin).TotalMilliseconds);
        }

        parts.Sort();
        ReportTable.Pause(string.Create(CultureInfo.InvariantCulture, $"snapshot of {many:#,0} keys beside commits, longest pause, ms"), parts[^1]);
        ReportTable.Note(string.Create(
            CultureInfo.InvariantCulture,
            $"{parts.Count} parts, median {Statistics.Percentile(CollectionsMarshal.AsSpan(parts), 0.5):0.00} ms, 99th percentile {Statistics.Percentile(CollectionsMarshal.AsSpan(parts), 0.99):0.00} ms; collector paused {(GC.GetTotalPauseDuration() - pauses).TotalMilliseconds:0.0} ms in all"));
    }

    /// <summary>A store of so many keys, committed in parts of some MiB.</summary>
    private static KeyValueStore<long, long> Filled(int keys, out double heapBytesPerKey, out List<byte[]> journal)
    {
        journal = [];
        var buffer = new ByteBuffer();
        var journalBytes = 0L;
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var store = new KeyValueStore<long, long>("store", Serdes.Int64, Serdes.Int64);
        for (var key = 0; key < keys; key++)
        {
            store.Put(store.BytesOf(Scattered(key)), key);
            if (key % 65_536 == 65_535 || key == keys - 1)
            {
                buffer.Clear();
                buffer.WriteInt32(0);
                buffer.PatchInt32(0, store.DrainOps(buffer));
                journal.Add(buffer.Span.ToArray());
                journalBytes += buffer.Length;
            }
        }

        heapBytesPerKey = (double)(GC.GetTotalMemory(forceFullCollection: true) - before - journalBytes) / keys;
        return store;
    }

    /// <summary>A key with its bits in no order, one for each number: real keys are not counted up.</summary>
    internal static long Scattered(int number) => unchecked(BinaryPrimitives.ReverseEndianness((long)((ulong)number * 0x9E3779B97F4A7C15)) ^ number);
}
