using System.Buffers.Binary;
using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Records;

namespace OrleansStreams.Processing.State;

/// <summary>What a store's followers are told against what the store holds.</summary>
public sealed class ChangeFeedModelTests
{
    [Fact]
    public void Changes_lead_to_the_rows_of_a_store_of_windows_whatever_closes_expires_and_is_forgotten_without_reading_it_anew() => Check.One(
        Config.QuickThrowOnFailure.WithMaxTest(200), Prop.ForAll(ArbMap.Default.ArbFor<int>(), RunTimed));

    [Fact]
    public void Who_follows_in_the_middle_of_a_commit_or_misses_too_many_expiries_reads_the_store_anew()
    {
        var store = new TimedStore<int, long>("s", TimedOrder.Start, 0, Serdes.Int32, Serdes.Int64);
        for (var key = 0; key < 200_000; key++)
        {
            store.Put(Key(key), key < 10 ? 1 : 2, 5, key);
        }

        store.DrainOps(new ByteBuffer());
        store.ExpireUpTo(1);
        var feeds = new ChangeFeeds();
        var feed = feeds.Of(store, 1);
        Commit(store, feeds, 2, 0);
        feed.Between(1, 2, null).Changes.ShouldBeNull("what expired before anybody followed is not known");
        feed.Between(2, 2, null).Changes.ShouldBeEmpty();
        store.ExpireUpTo(2);
        Commit(store, feeds, 3, 0);
        feed.Between(2, 3, null).Changes.ShouldBeNull("they are too many");
        store.Put(Key(1), 3, 5, 1);
        Commit(store, feeds, 4, 0);
        feed.Between(3, 4, null).Changes.ShouldNotBeNull().Count.ShouldBe(1);
        feeds.Close(_ => true);
        store.IsFollowed.ShouldBeFalse();
    }

    private static void RunTimed(int seed)
    {
        var random = new Random(seed);
        var retention = random.Next(3) == 0 ? 0 : random.Next(1, 30);
        var order = random.Next(2) == 0 ? TimedOrder.Start : TimedOrder.End;
        var store = new TimedStore<int, long>("s", order, retention, Serdes.Int32, Serdes.Int64);
        var feeds = new ChangeFeeds();
        var feed = feeds.Of(store, 0);
        var view = new SortedDictionary<(int Key, long Start, long End), (long Value, bool IsFinal)>();
        var (known, now) = (0L, 0L);
        var taken = new List<int>();
        for (var commit = 1L; commit < 60; commit++)
        {
            for (var step = random.Next(12); step > 0; step--)
            {
                now += random.Next(3);
                var (key, start) = (Key(random.Next(6)), now - random.Next(10));
                switch (random.Next(8))
                {
                    case < 4:
                        store.Put(key, start, start + random.Next(1, 8), step);
                        break;
                    case 4 when store.Last(key) is var last and >= 0 && !store.IsFinished(last):
                        store.Remove(last);
                        break;
                    case 5:
                        while (store.TakeExpired(now - 10, taken, out _))
                        {
                            taken.ForEach(store.Finish);
                        }

                        break;
                    case 6 when store.TakeExpired(now - 5, taken, out var time):
                        store.Expire(taken, time);
                        break;
                    case 7:
                        store.ExpireUpTo(now - 15);
                        break;
                    default:
                        break;
                }
            }

            Commit(store, feeds, commit, now);
            if (random.Next(3) == 0)
            {
                var (changes, to) = feed.Between(known, commit, null);
                foreach (var change in changes.ShouldNotBeNull("nobody is told to read the store anew"))
                {
                    var row = (BinaryPrimitives.ReadInt32BigEndian(change.Row.Key.Span), change.Row.WindowStartMs, change.Row.WindowEndMs);
                    view.Remove(row);
                    if (!change.IsDeleted)
                    {
                        view.Add(row, (Serdes.Int64.Deserialize(change.Row.Value.Span), change.Row.IsFinal));
                    }
                }

                known = to;
                view.Select(row => (row.Key, row.Value)).ShouldBe(RowsOf(store));
            }
        }
    }

    private static void Commit(TimedStore<int, long> store, ChangeFeeds feeds, long commit, long now)
    {
        var ops = new ByteBuffer();
        var count = store.DrainOps(ops);
        feeds.Take(store, ops.Span, count, commit);
        feeds.Evict(store, now);
    }

    private static List<((int Key, long Start, long End), (long Value, bool IsFinal))> RowsOf(TimedStore<int, long> store)
    {
        store.Order(int.MaxValue).ShouldBeTrue();
        var page = new StorePage(new StoreScan("s", default, default, long.MinValue, long.MaxValue, 10_000));
        store.Scan(page);
        return page.Take().Rows.ConvertAll(row => (
            (BinaryPrimitives.ReadInt32BigEndian(row.Key.Span), row.WindowStartMs, row.WindowEndMs), (Serdes.Int64.Deserialize(row.Value.Span), row.IsFinal)));
    }

    private static byte[] Key(int key)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(bytes, key);
        return bytes;
    }
}
