using System.Buffers.Binary;
using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Processing.Journal;
using OrleansStreams.Records;

namespace OrleansStreams.Processing.State;

/// <summary>Stores against dictionaries: random changes, commits, snapshots and crashes.</summary>
public sealed class StoreModelTests
{
    [Fact]
    public void A_key_value_store_is_a_dictionary_whatever_is_committed_snapshot_and_lost() => Check.One(
        PropertyRuns.Of(300), Prop.ForAll(ArbMap.Default.ArbFor<int>(), RunKeyValue));

    [Fact]
    public void A_timed_store_is_a_sorted_list_per_key_whatever_is_committed_snapshot_and_lost() => Check.One(
        PropertyRuns.Of(300), Prop.ForAll(ArbMap.Default.ArbFor<int>(), RunTimed));

    private static void RunKeyValue(int seed)
    {
        var random = new Random(seed);
        var model = new SortedDictionary<string, long>(StringComparer.Ordinal);
        var committed = new SortedDictionary<string, long>(StringComparer.Ordinal);
        var journal = new ModelJournal(random.Next(200, 3000));
        var store = NewStore();
        journal.Attach(store);
        var keys = random.Next(1, 60);
        var isOrdered = random.Next(2) == 0;
        for (var step = 0; step < 400; step++)
        {
            var key = KeyOf(random.Next(keys));
            var bytes = System.Text.Encoding.UTF8.GetBytes(key);
            switch (random.Next(20))
            {
                case < 10:
                    store.Put(bytes, step);
                    model[key] = step;
                    break;
                case < 14:
                    var isThere = model.Remove(key, out var expected);
                    store.Remove(bytes, out var removed).ShouldBe(isThere);
                    removed.ShouldBe(expected);
                    break;
                case < 16:
                    store.TryGet(bytes, out var found).ShouldBe(model.TryGetValue(key, out var value));
                    found.ShouldBe(value);
                    break;
                case < 18:
                    journal.Commit();
                    committed = new(model, StringComparer.Ordinal);
                    break;
                case 18 when random.Next(3) == 0:
                    store = NewStore();
                    journal.Restore(store);
                    model = new(committed, StringComparer.Ordinal);
                    break;
                default:
                    // The order is brought on in the midst of changes, dropped and begun again.
                    store.Order(random.Next(1, 8));
                    if (random.Next(4) == 0)
                    {
                        store.DropOrder();
                    }

                    if (isOrdered)
                    {
                        CheckRange(store, model, random, keys);
                    }

                    break;
            }

            store.Entries.ShouldBe(model.Count);
        }

        CheckRange(store, model, random, keys);

        static KeyValueStore<string, long> NewStore() => new("s", Serdes.Utf8, Serdes.Int64);
    }

    private static void CheckRange(KeyValueStore<string, long> store, SortedDictionary<string, long> model, Random random, int keys)
    {
        var from = random.Next(2) == 0 ? null : KeyOf(random.Next(keys));
        var to = random.Next(2) == 0 ? null : KeyOf(random.Next(keys));
        var isDescending = random.Next(2) == 0;
        var expected = model.Where(pair => (from is null || string.CompareOrdinal(pair.Key, from) >= 0) && (to is null || string.CompareOrdinal(pair.Key, to) < 0));
        store.Range(Bytes(from), Bytes(to), isDescending).Select(slot => (store.KeyOf(slot), store.ValueOf(slot)))
            .ShouldBe((isDescending ? expected.Reverse() : expected).Select(pair => (pair.Key, pair.Value)));

        static byte[]? Bytes(string? key) => key is null ? null : System.Text.Encoding.UTF8.GetBytes(key);
    }

    // Keys of 1 to 8 bytes, of some more, and of more than a slab shares.
    private static string KeyOf(int number) => (number % 7) switch
    {
        0 => $"key-number-{number}-is-not-short",
        1 when number < 20 => new string((char)('a' + number), 1500 + number),
        _ => $"k{number}",
    };

    private static void RunTimed(int seed)
    {
        var random = new Random(seed);
        var retention = random.Next(3) == 0 ? 0 : random.Next(1, 60);
        var order = random.Next(2) == 0 ? TimedOrder.Start : TimedOrder.End;
        var model = new TimedModel();
        var committed = new TimedModel();
        var journal = new ModelJournal(random.Next(200, 3000));
        var store = NewStore();
        journal.Attach(store);
        var now = 0L;
        for (var step = 0; step < 400; step++)
        {
            now += random.Next(3);
            var key = random.Next(8);
            switch (random.Next(20))
            {
                case < 10:
                    var (start, end) = Times(random, now);
                    store.Put(Key(key), start, end, step);
                    model.Entries[(key, start, end)] = (step, model.Entries.GetValueOrDefault((key, start, end)).IsFinished);
                    break;
                case < 12 when model.Open(key).ToArray() is [_, ..] open:
                    var removed = open[random.Next(open.Length)];
                    store.Remove(store.Find(Key(key), removed.Start, removed.End));
                    model.Entries.Remove(removed);
                    break;
                case < 14 when model.Open(key).ToArray() is [_, ..] open:
                    var moved = open[random.Next(open.Length)];
                    var (newStart, newEnd) = Times(random, now);
                    if (!model.Entries.ContainsKey((key, newStart, newEnd)))
                    {
                        store.Move(store.Find(Key(key), moved.Start, moved.End), newStart, newEnd);
                        model.Entries.Remove(moved, out var value);
                        model.Entries[(key, newStart, newEnd)] = value;
                    }

                    break;
                case < 16:
                    Expire(store, model, now - 20, order, retention, isFinished: random.Next(2) == 0);
                    break;
                case < 18:
                    model.Evict(now - retention);
                    journal.Commit(now);
                    committed = model.Copy();
                    break;
                case 18 when random.Next(3) == 0:
                    store = NewStore();
                    journal.Restore(store);
                    model = committed.Copy();
                    break;
                default:
                    CheckEntries(store, model, key, random.NextInt64(now - 40, now + 20));
                    CheckPages(store, model, random);
                    break;
            }

            store.Entries.ShouldBe(model.Entries.Count);
            store.OpenEntries.ShouldBe(model.Entries.Count(pair => !pair.Value.IsFinished));
            store.NextExpiry.ShouldBe(model.Open().Select(entry => order == TimedOrder.Start ? entry.Start : entry.End).DefaultIfEmpty(long.MaxValue).Min());
        }

        for (var key = 0; key < 8; key++)
        {
            CheckEntries(store, model, key, long.MinValue);
        }

        TimedStore<int, long> NewStore() => new("s", order, retention, Serdes.Int32, Serdes.Int64);
    }

    private static void Expire(TimedStore<int, long> store, TimedModel model, long upTo, TimedOrder order, long retention, bool isFinished)
    {
        var taken = new List<int>();
        while (store.TakeExpired(upTo, taken, out var time))
        {
            var expected = model.Open().Where(entry => (order == TimedOrder.Start ? entry.Start : entry.End) == time).ToArray();
            taken.Select(entry => (BinaryPrimitives.ReadInt32BigEndian(store.KeyBytesOf(entry)), store.StartOf(entry), store.EndOf(entry))).ShouldBe(expected);
            foreach (var entry in expected)
            {
                model.Entries.Remove(entry, out var value);
                if (isFinished && retention > 0)
                {
                    model.Entries[entry] = (value.Value, true);
                }
            }

            if (isFinished)
            {
                taken.ForEach(store.Finish);
            }
            else
            {
                store.Expire(taken, time);
            }
        }

        model.Open().ShouldAllBe(entry => (order == TimedOrder.Start ? entry.Start : entry.End) > upTo);
    }

    private static void CheckPages(TimedStore<int, long> store, TimedModel model, Random random)
    {
        if (random.Next(4) == 0)
        {
            store.DropOrder();
        }

        if (!store.Order(random.Next(1, 5)))
        {
            return;
        }

        var from = model.Entries.Keys.Select(row => row.Start).DefaultIfEmpty(0).Min() + random.Next(30);
        var scan = new StoreScan("s", Key(random.Next(4)), default, from, from + random.Next(60), random.Next(1, 5));
        var rows = new List<(int, long, long, bool)>();
        do
        {
            var page = new StorePage(scan);
            store.Scan(page);
            var (found, continuation) = page.Take();
            rows.AddRange(found.Select(row => (BinaryPrimitives.ReadInt32BigEndian(row.Key.Span), row.WindowStartMs, row.WindowEndMs, row.IsFinal)));
            scan = scan with { Continuation = continuation };
        }
        while (!scan.Continuation.IsEmpty);

        var first = BinaryPrimitives.ReadInt32BigEndian(scan.FromKey.Span);
        rows.ShouldBe(model.Entries.Where(pair => pair.Key.Key >= first && pair.Key.Start >= scan.FromMs && pair.Key.Start < scan.ToMs)
            .Select(pair => (pair.Key.Key, pair.Key.Start, pair.Key.End, pair.Value.IsFinished)));
    }

    private static void CheckEntries(TimedStore<int, long> store, TimedModel model, int key, long from)
    {
        var found = new List<(long, long, long, bool)>();
        for (var entry = store.FirstFrom(Key(key), from); entry >= 0; entry = store.Next(entry))
        {
            found.Add((store.StartOf(entry), store.EndOf(entry), store.ValueOf(entry), store.IsFinished(entry)));
        }

        found.ShouldBe(model.Entries.Where(pair => pair.Key.Key == key && pair.Key.Start >= from).Select(pair => (pair.Key.Start, pair.Key.End, pair.Value.Value, pair.Value.IsFinished)));
    }

    private static (long Start, long End) Times(Random random, long now)
    {
        var start = now - random.Next(-2, 15);
        return (start, start + random.Next(1, 10));
    }

    private static byte[] Key(int key)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(bytes, key);
        return bytes;
    }

    private sealed class TimedModel
    {
        public SortedDictionary<(int Key, long Start, long End), (long Value, bool IsFinished)> Entries { get; private init; } = [];

        public IEnumerable<(int Key, long Start, long End)> Open(int? key = null) =>
            Entries.Where(pair => !pair.Value.IsFinished && (key is null || pair.Key.Key == key)).Select(pair => pair.Key);

        public void Evict(long endsUpTo)
        {
            foreach (var key in Entries.Where(pair => pair.Value.IsFinished && pair.Key.End <= endsUpTo).Select(pair => pair.Key).ToArray())
            {
                Entries.Remove(key);
            }
        }

        public TimedModel Copy() => new() { Entries = new(Entries) };
    }
}

/// <summary>The part of a task's journal that stores need: entries of operations and parts of snapshots, kept from the last whole snapshot on.</summary>
internal sealed class ModelJournal(long snapshotBytesMin)
{
    private readonly List<(byte[] Bytes, long MaxEventTime, bool Begins)> _entries = [];
    private IStateStore? _store;
    private TaskSnapshots? _snapshots;

    public void Attach(IStateStore store)
    {
        _store = store;
        _snapshots = new TaskSnapshots([store], snapshotBytesMin, partBytesMin: 64);
    }

    public void Commit(long maxEventTime = long.MinValue)
    {
        var buffer = new ByteBuffer();
        var begins = _snapshots!.TryBegin();
        buffer.WriteInt32(0);
        buffer.PatchInt32(0, _store!.DrainOps(buffer));
        buffer.WriteByte(_snapshots.IsUnderWay ? (byte)1 : (byte)0);
        var ends = _snapshots.IsUnderWay && _snapshots.WritePart(buffer);
        _store.Evict(maxEventTime);
        _snapshots.Written(buffer.Length, begins, ends);
        _entries.Add((buffer.Span.ToArray(), maxEventTime, begins));
        if (ends)
        {
            _entries.RemoveRange(0, _entries.FindLastIndex(entry => entry.Begins));
        }
    }

    public void Restore(IStateStore store)
    {
        Attach(store);
        foreach (var (bytes, maxEventTime, _) in _entries)
        {
            var reader = new ByteReader(bytes);
            store.Apply(ref reader, reader.ReadInt32());
            if (reader.ReadByte() != 0)
            {
                while (reader.ReadInt32() != -1)
                {
                    reader.ReadInt32().ShouldBe(store.SchemaVersion);
                    store.Apply(ref reader, reader.ReadInt32());
                }
            }

            reader.IsAtEnd.ShouldBeTrue();
            store.Evict(maxEventTime);
            _snapshots!.Restored(bytes.Length);
        }
    }
}
