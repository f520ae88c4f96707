using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Clients;

public sealed class ConsumedBatchesTests
{
    private static readonly TopicPartition T0 = new("t", 0);

    [Theory]
    [InlineData(CompressionType.None)]
    [InlineData(CompressionType.Gzip)]
    [InlineData(CompressionType.Snappy)]
    public void Records_are_all_that_count_in_place_from_the_first_offset_on_without_control_records(CompressionType compression)
    {
        byte[] bytes = [.. Batch(10, 5, compression), .. Batch(15, 1, CompressionType.None, isControl: true), .. Batch(16, 3, compression)];
        Offsets(new ConsumedBatches(T0, bytes, 12, 19)).ShouldBe([12, 13, 14, 16, 17, 18]);
        Offsets(new ConsumedBatches(T0, default, 12, 12)).ShouldBeEmpty();
    }

    [Fact]
    public void Damage_is_a_typed_error_after_the_records_before_it()
    {
        byte[] bytes = [.. Batch(0, 2, CompressionType.None), .. Batch(2, 2, CompressionType.None)];
        bytes[^1] ^= 1;
        var seen = new List<long>();
        var failure = Should.Throw<StreamsException>(() =>
        {
            foreach (var record in new ConsumedBatches(T0, bytes, 0, 4).Records)
            {
                seen.Add(record.Offset);
            }
        });
        failure.Code.ShouldBe(StreamsErrorCode.CorruptBatch);
        failure.Message.ShouldContain("t-0");
        seen.ShouldBe([0, 1]);
    }

    [Fact]
    public void Stepping_through_records_in_place_allocates_nothing()
    {
        var batches = new ConsumedBatches(T0, Batch(0, 1_000, CompressionType.None), 0, 1_000);
        Count(batches).ShouldBe(1_000);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var count = Count(batches);
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBe(0);
        count.ShouldBe(1_000);
    }

    private static int Count(ConsumedBatches batches)
    {
        var count = 0;
        foreach (var record in batches.Records)
        {
            count += record.Value.Length;
        }

        return count;
    }

    private static List<long> Offsets(ConsumedBatches batches)
    {
        var offsets = new List<long>();
        foreach (var record in batches.Records)
        {
            record.Value[0].ShouldBe((byte)record.Offset);
            offsets.Add(record.Offset);
        }

        return offsets;
    }

    private static byte[] Batch(long baseOffset, int records, CompressionType compression, bool isControl = false)
    {
        var builder = new RecordBatchBuilder(compression);
        for (var record = 0; record < records; record++)
        {
            builder.Append(1, [], true, [(byte)(baseOffset + record)], false);
        }

        var batch = builder.Build(isControl: isControl);
        RecordBatch.StampOffsetAndEpoch(batch, baseOffset, 1);
        return batch;
    }
}
