using System.Globalization;
using OrleansStreams.Processing.Journal;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.EngineFixture;

namespace OrleansStreams.Processing.State;

/// <summary>What grows with a store: the memory it says it takes, its journal, and what is looked at for one page.</summary>
public sealed class StoreBoundsTests
{
    private const int LongKeyBytes = 1_500;

    [Fact]
    public void A_tables_memory_is_that_of_its_keys_and_values_in_whatever_order_large_and_small_ones_come()
    {
        var (store, journal) = Table();
        Put(store, from: 0, count: 10_000, valueBytes: 100);
        journal.Commit();
        Put(store, from: 10_000, count: 200, valueBytes: 100_000);
        journal.Commit();
        ShouldBeAbout(store.Bytes, (10_000 * 100) + (200 * 100_000), 10_200);

        // Small ones at last do not hide large ones, nor do large ones that are gone count.
        Put(store, from: 0, count: 10_000, valueBytes: 10);
        journal.Commit();
        ShouldBeAbout(store.Bytes, (10_000 * 10) + (200 * 100_000), 10_200);
        var restored = Table().Store;
        journal.Restore(restored);
        ShouldBeAbout(restored.Bytes, (10_000 * 10) + (200 * 100_000), 10_200);
        foreach (var each in (KeyValueStore<byte[], byte[]>[])[store, restored])
        {
            journal.Attach(each);
            for (var key = 10_000; key < 10_200; key++)
            {
                each.Remove(Key(key), out _).ShouldBeTrue();
            }

            journal.Commit();
            ShouldBeAbout(each.Bytes, 10_000 * 10, 10_000);
        }
    }

    [Theory]
    [InlineData(10, 1_000)]
    [InlineData(LongKeyBytes, 1_000)]
    [InlineData(LongKeyBytes, 10)]
    public void The_memory_of_windows_is_that_of_their_keys_and_values_open_or_closed_and_again_after_a_restart(int keyBytes, int valueBytes)
    {
        const int Windows = 2_000;
        const long Content = Windows / 2;
        var store = NewStore();
        var journal = new ModelJournal(1_000_000);
        journal.Attach(store);
        for (var number = 0; number < Windows; number++)
        {
            // Each key has two windows.
            store.Put(Key(number / 2, keyBytes), number % 2 * 10, (number % 2 * 10) + 10, new byte[valueBytes]);
        }

        journal.Commit(0);
        ShouldBeAbout(store.Bytes, (Content * keyBytes) + (Windows * valueBytes), Windows);
        Close(store, 10);
        journal.Commit(20);
        ShouldBeAbout(store.Bytes, (Content * keyBytes) + (Windows * valueBytes), Windows);
        var restored = NewStore();
        journal.Restore(restored);
        restored.Entries.ShouldBe(Windows);
        ShouldBeAbout(restored.Bytes, (Content * keyBytes) + (Windows * valueBytes), Windows);
        Close(restored, 20);

        // All beyond their retention.
        journal.Commit(200);
        restored.Entries.ShouldBe(0);
        ShouldBeAbout(restored.Bytes, 0, Windows);

        static TimedStore<byte[], byte[]> NewStore() => new("windows", TimedOrder.End, 100, Serdes.Bytes, Serdes.Bytes);

        static void Close(TimedStore<byte[], byte[]> store, long upTo)
        {
            var closing = new List<int>();
            while (store.TakeExpired(upTo, closing, out _))
            {
                closing.ForEach(store.Finish);
            }
        }
    }

    [Fact]
    public void The_keys_that_windows_keep_as_objects_count_until_their_last_window_is_gone()
    {
        var store = new TimedStore<string, long>("windows", TimedOrder.End, 0, Serdes.Utf8, Serdes.Int64);
        var none = store.Bytes;
        var entries = Enumerable.Range(0, 1_000).Select(number => store.Put(store.BytesOf(number.ToString(CultureInfo.InvariantCulture).PadLeft(LongKeyBytes)), 0, 10, number)).ToList();
        var bytes = store.Bytes;
        entries.ForEach(entry => store.KeptKeyOf(entry).ShouldBeSameAs(store.KeptKeyOf(entry)));
        (store.Bytes - bytes).ShouldBeInRange(1_000 * LongKeyBytes, 1_000 * (LongKeyBytes + 100));
        entries.ForEach(store.Remove);
        (store.Bytes - none).ShouldBeLessThan(1_000 * 200);
    }

    [Fact]
    public void What_a_commit_will_write_is_known_with_its_values_before_it_is_written()
    {
        var (store, journal) = Table();
        Put(store, from: 0, count: 1_000, valueBytes: 1_024);
        store.PendingBytes.ShouldBeGreaterThanOrEqualTo(1_000 * 1_024, "the first commit is guessed on the safe side");
        journal.Commit();
        Put(store, from: 0, count: 1_000, valueBytes: 4_096);
        journal.Commit();
        Put(store, from: 500, count: 1_000, valueBytes: 4_096);
        store.PendingBytes.ShouldBeInRange(1_000 * 4_096, 1_000 * 4_200);
        var restored = Table().Store;
        journal.Restore(restored);
        Put(restored, from: 0, count: 100, valueBytes: 4_096);
        restored.PendingBytes.ShouldBeInRange(100 * 4_096, 100 * 4_200);
    }

    [Fact]
    public void Commits_that_write_large_values_again_and_again_make_a_journal_of_no_more_than_four_times_the_state()
    {
        const int Keys = 40_000;
        const int ValueBytes = 1_000;
        const long StateBytes = Keys * (ValueBytes + 20L);
        var store = new KeyValueStore<byte[], byte[]>("table", Serdes.Bytes, Serdes.Bytes);
        var snapshots = new TaskSnapshots([store], 1);
        var buffer = new ByteBuffer();
        var random = new Random(1);
        var (sinceWhole, sinceBegin, most) = (0L, 0L, 0L);
        Put(store, 0, Keys, ValueBytes);
        for (var commit = 0; commit < 1_000; commit++)
        {
            buffer.Clear();
            var begins = snapshots.TryBegin();
            store.DrainOps(buffer);
            var ends = snapshots.IsUnderWay && snapshots.WritePart(buffer, buffer.Length);
            snapshots.Written(buffer.Length, begins, ends);
            sinceBegin = (begins ? 0 : sinceBegin) + buffer.Length;
            sinceWhole += buffer.Length;
            most = commit > 500 ? Math.Max(most, sinceWhole) : 0;
            sinceWhole = ends ? sinceBegin : sinceWhole;
            for (var change = 0; change < 1_000; change++)
            {
                Put(store, random.Next(Keys), 1, ValueBytes);
            }
        }

        // What a restart reads just before a snapshot has ended, all since the beginning of the one before.
        most.ShouldBeInRange(2 * StateBytes, 4 * StateBytes);
    }

    [Fact]
    public void A_page_looks_at_a_bounded_number_of_entries_however_many_there_are_that_it_does_not_want()
    {
        const int Keys = 50_000;
        var store = new TimedStore<byte[], long>("windows", TimedOrder.End, 0, Serdes.Bytes, Serdes.Int64);
        for (var number = 0; number < Keys; number++)
        {
            store.Put(Key(number), number == Keys - 1 ? 100 : 0, 1_000, number);
        }

        var calls = 1;
        for (; !store.Order(4_096); calls++)
        {
        }

        calls.ShouldBe((Keys / 4_096) + 1, "no call takes up more keys than it may");
        var scan = new StoreScan("windows", default, default, 100, 200, 10);
        var (found, pages) = (new List<StoreRow>(), 0);
        do
        {
            var page = new StorePage(scan);
            store.Scan(page);
            page.Steps.ShouldBeLessThanOrEqualTo(StorePage.StepsMax);
            var (rows, continuation) = page.Take();
            found.AddRange(rows);
            scan = scan with { Continuation = continuation };
            pages++;
        }
        while (!scan.Continuation.IsEmpty);

        found.ShouldHaveSingleItem().WindowStartMs.ShouldBe(100);
        pages.ShouldBe((Keys / StorePage.StepsMax) + 1);
    }

    [Fact]
    public void All_windows_of_a_key_come_a_page_at_a_time()
    {
        var engine = Begun(Plan(Counting(10, 0, outOfOrderness: 1_000_000)));
        engine.ProcessBatch(0, Batch(0, [.. Enumerable.Range(0, 25).Select(number => ((string?)"k", number * 10L)), ("j", 5)]));
        engine.Drain();
        var query = new StateQuery("store", "k"u8.ToArray(), 20, 240, 5);
        var starts = new List<long>();
        var pages = 0;
        do
        {
            var (entries, continuation) = engine.Query(query);
            entries.Count.ShouldBeLessThanOrEqualTo(5);
            starts.AddRange(entries.Select(entry => entry.WindowStartMs));
            query = query with { Continuation = continuation };
            pages++;
        }
        while (!query.Continuation.IsEmpty);

        starts.ShouldBe(Enumerable.Range(2, 22).Select(number => number * 10L));
        pages.ShouldBe(5);

        // Sessions and entries of a buffer may start together.
        var store = new TimedStore<int, long>("buffer", TimedOrder.Start, 0, Serdes.Int32, Serdes.Int64);
        Enumerable.Range(0, 7).ToList().ForEach(number => store.Append(store.BytesOf(1), 5, number));
        var found = new List<StateEntry>();
        store.Query(store.BytesOf(1), 5, 6, 3, found, afterEnd: 2);
        found.Select(entry => entry.WindowEndMs).ShouldBe([3, 4, 5]);
    }

    private static (KeyValueStore<byte[], byte[]> Store, ModelJournal Journal) Table()
    {
        var store = new KeyValueStore<byte[], byte[]>("table", Serdes.Bytes, Serdes.Bytes);
        var journal = new ModelJournal(1_000_000);
        journal.Attach(store);
        return (store, journal);
    }

    private static void Put(KeyValueStore<byte[], byte[]> store, int from, int count, int valueBytes)
    {
        for (var key = from; key < from + count; key++)
        {
            store.Put(Key(key), new byte[valueBytes]);
        }
    }

    private static byte[] Key(int number, int length = 8)
    {
        var key = new byte[length];
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(key, number);
        return key;
    }

    /// <summary>The content, and for each entry a share of the tables.</summary>
    private static void ShouldBeAbout(long bytes, long content, long entries) => bytes.ShouldBeInRange(content, content + (entries * 300) + 300_000);
}
