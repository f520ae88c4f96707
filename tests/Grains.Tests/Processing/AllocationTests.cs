using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using OrleansStreams.Processing.Journal;
using OrleansStreams.Processing.State;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.EngineFixture;

namespace OrleansStreams.Processing;

/// <summary>What an update of state costs beside its bytes, and how much of a snapshot one commit carries.</summary>
public sealed class AllocationTests
{
    private const int Keys = 64;
    private const int BatchRecords = 1000;

    // A step or a batch may allocate, a record may not: an object for each would be 24,000 bytes and more.
    private const long BatchBytesMax = 2_000;

    /// <summary>A value of several fields, for serdes of the user's own.</summary>
    internal readonly record struct Point(double X, double Y, int Count);

    [Fact]
    public void Counts_sums_and_averages_of_blittable_types_by_key_allocate_nothing_for_an_update()
    {
        Measure("int64", input => input.Count(Materialized.As("store", Serdes.Int64)));
        Measure("int32", input => input.Aggregate(() => 0, (_, value, sum) => sum + (int)value, Materialized.As("store", Serdes.Int32)));
        Measure("double", input => input.Aggregate(() => 0.0, (_, value, sum) => sum + value, Materialized.As("store", new BytesSerde<double>())));
        Measure("guid", input => input.Aggregate(() => Guid.Empty, (_, _, id) => id, Materialized.As("store", new BytesSerde<Guid>())));
        Measure("struct", input => input.Aggregate(() => new Point(0, 0, 0), (_, value, point) => new Point(point.X + value, point.Y, point.Count + 1), Materialized.As("store", new BytesSerde<Point>())));
    }

    [Fact]
    public void A_table_that_is_passed_on_allocates_nothing_for_an_update_but_its_output() =>
        Measure("table", input => input.Count(Materialized.As("store", Serdes.Int64)).Filter((_, count) => count < 0).MapValues(count => count + 1).ToStream());

    [Fact]
    public void Windows_of_every_kind_allocate_nothing_for_an_update()
    {
        Measure("tumbling", input => input.WindowedBy(TumblingWindows.Of(TimeSpan.FromDays(1))).Count(Materialized.As("store", Serdes.Int64)));
        Measure("tumbling struct", input => input.WindowedBy(TumblingWindows.Of(TimeSpan.FromDays(1)))
            .Aggregate(() => new Point(0, 0, 0), (_, value, point) => new Point(point.X + value, point.Y, point.Count + 1), Materialized.As("store", new BytesSerde<Point>())));
        Measure("hopping", input => input.WindowedBy(HoppingWindows.Of(TimeSpan.FromDays(1), TimeSpan.FromHours(12))).Count(Materialized.As("store", Serdes.Int64)));
        Measure("session", input => input.WindowedBy(SessionWindows.With(TimeSpan.FromDays(1))).Count(Materialized.As("store", Serdes.Int64)));
    }

    [Fact]
    public void No_part_of_a_snapshot_of_a_million_keys_has_more_bytes_or_looks_at_more_slots_than_its_bound()
    {
        const int Many = 1_000_000;
        var table = new KeyValueStore<long, long>("table", Serdes.Int64, Serdes.Int64);
        var windows = new TimedStore<long, long>("windows", TimedOrder.End, 1_000_000, Serdes.Int64, Serdes.Int64);
        var buffer = new ByteBuffer();
        for (var key = 0L; key < Many; key++)
        {
            table.Put(table.BytesOf(key), key);
            if (key < Many / 4)
            {
                windows.Put(table.BytesOf(key), 0, 10, key);
            }
        }

        table.DrainOps(buffer);
        windows.DrainOps(buffer);
        foreach (var (store, opBytes) in ((IStateStore, int)[])[(table, 25), (windows, 41)])
        {
            var entries = (int)store.Entries;
            foreach (var (commitBytes, bound) in ((int, int)[])[(0, 256 * 1024), (400_000, 800_000), (int.MaxValue, TaskSnapshots.PartBytesMax)])
            {
                var snapshots = new TaskSnapshots([store], 1);
                snapshots.TryBegin().ShouldBeTrue();
                var bytes = 0L;
                for (var isLast = false; !isLast;)
                {
                    buffer.Clear();
                    isLast = snapshots.WritePart(buffer, commitBytes);
                    buffer.Length.ShouldBeLessThan(bound + opBytes + 20);
                    (isLast || buffer.Length > bound - 20).ShouldBeTrue($"{buffer.Length} bytes: the snapshot would take longer than its bound allows for");
                    bytes += buffer.Length;
                }

                bytes.ShouldBeInRange(entries * (long)opBytes, (entries * (long)opBytes) + (40 * ((bytes / bound) + 1)));
            }
        }
    }

    private static void Measure(string what, Action<KGroupedStream<long, long>> describe)
    {
        var builder = new StreamsBuilder();
        describe(builder.Stream(Input, Consumed.With(Serdes.Int64, Serdes.Int64)).GroupByKey());
        var engine = Begun(Plan(builder.Build().SubTopologies.ShouldHaveSingleItem()));
        var least = long.MaxValue;
        for (var round = 0; round < 30; round++)
        {
            var batch = Numbers(engine.PositionOf(0));
            var before = GC.GetAllocatedBytesForCurrentThread();
            engine.ProcessBatch(0, batch);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
            engine.Drain();
        }

        least.ShouldBeLessThan(BatchBytesMax, $"{what}: bytes for {BatchRecords} updates");
    }

    private static byte[] Numbers(long baseOffset)
    {
        var builder = new RecordBatchBuilder();
        for (var record = 0; record < BatchRecords; record++)
        {
            builder.Append(1000 + record, BitConverter.GetBytes((long)(record % Keys)), false, BitConverter.GetBytes((long)record), false);
        }

        var batch = builder.Build();
        RecordBatch.StampOffsetAndEpoch(batch, baseOffset, 0);
        return batch;
    }

    /// <summary>The bytes of a struct as they are in memory.</summary>
    private sealed class BytesSerde<T> : ISerde<T>
        where T : unmanaged
    {
        public string Name => typeof(T).Name;

        public void Serialize(T value, IBufferWriter<byte> to)
        {
            var span = to.GetSpan(Unsafe.SizeOf<T>());
            MemoryMarshal.Write(span, in value);
            to.Advance(Unsafe.SizeOf<T>());
        }

        public T Deserialize(ReadOnlySpan<byte> bytes) => MemoryMarshal.Read<T>(bytes);
    }
}
