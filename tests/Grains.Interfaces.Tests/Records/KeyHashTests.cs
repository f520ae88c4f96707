using System.Text;
using OrleansStreams.Errors;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Records;

public class KeyHashTests
{
    [Theory]
    [InlineData("21", -973932308)]
    [InlineData("foobar", -790332482)]
    [InlineData("a-little-bit-long-string", -985981536)]
    [InlineData("a-little-bit-longer-string", -1486304829)]
    [InlineData("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971)]
    [InlineData("abc", 479470107)]
    public void The_hash_equals_the_published_vectors(string key, int expected) => KeyHash.Murmur2(Encoding.UTF8.GetBytes(key)).ShouldBe(expected);

    [Theory]
    [InlineData("21", 4, (-973932308 & 0x7fffffff) % 4)]
    [InlineData("foobar", 12, (-790332482 & 0x7fffffff) % 12)]
    [InlineData("abc", 7, 479470107 % 7)]
    [InlineData("abc", 1, 0)]
    public void The_partition_is_the_hash_without_its_sign_bit_modulo_the_count(string key, int count, int expected) =>
        KeyHash.PartitionFor(Encoding.UTF8.GetBytes(key), count).ShouldBe(expected);

    [Fact]
    public void Every_key_has_a_partition_in_range_and_all_partitions_get_some()
    {
        var hits = new int[16];
        for (var i = 0; i < 10_000; i++)
        {
            hits[KeyHash.PartitionFor(Encoding.UTF8.GetBytes($"key-{i}"), hits.Length)]++;
        }

        hits.Min().ShouldBeGreaterThan(400);
        KeyHash.PartitionFor(default, 5).ShouldBeInRange(0, 4);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-3)]
    public void A_topic_without_partitions_is_refused(int count) =>
        Should.Throw<StreamsException>(() => KeyHash.PartitionFor([1], count)).Code.ShouldBe(StreamsErrorCode.InvalidPartitions);
}
