using System.Text;

namespace OrleansStreams.Log.Compaction;

public sealed class KeyOffsetMapTests
{
    [Fact]
    public void It_tells_the_latest_offset_of_each_of_many_keys()
    {
        var map = new KeyOffsetMap(10_000_000, 20_000);
        var latest = new Dictionary<string, long>();
        var random = new Random(3);
        for (var offset = 0L; offset < 20_000; offset++)
        {
            var key = $"key-{random.Next(5_000)}";
            latest[key] = offset;
            map.TryPut(HashOf(key), offset).ShouldBeTrue();
        }

        map.Count.ShouldBe(latest.Count);
        latest.ShouldAllBe(entry => map.LatestOf(HashOf(entry.Key)) == entry.Value);
        map.LatestOf(HashOf("never")).ShouldBe(-1);
    }

    [Fact]
    public void It_is_full_before_its_probes_get_long_and_still_takes_new_offsets_of_its_keys()
    {
        var map = new KeyOffsetMap(100 * KeyOffsetMap.SlotBytes, long.MaxValue);
        var taken = 0;
        while (map.TryPut(HashOf($"{taken}"), taken))
        {
            taken++;
        }

        taken.ShouldBe(80);
        map.IsFull.ShouldBeTrue();
        map.TryPut(HashOf("0"), 1000).ShouldBeTrue();
        map.LatestOf(HashOf("0")).ShouldBe(1000);
        map.LatestOf(HashOf("80")).ShouldBe(-1);
    }

    [Fact]
    public void It_takes_no_more_memory_than_its_keys_need()
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var map = new KeyOffsetMap(1L << 30, 10);
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBeLessThan(2_000);
        map.TryPut(HashOf("a"), 0).ShouldBeTrue();
    }

    private static UInt128 HashOf(string key) => KeyOffsetMap.HashOf(Encoding.UTF8.GetBytes(key));
}
