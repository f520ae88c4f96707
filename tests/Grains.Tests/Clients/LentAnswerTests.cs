using OrleansStreams.Clients;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Clients;

/// <summary>
/// A consumer gives the memory of answers back when nobody can see it any more. Here whatever is given back is written over at once, so that a value that was
/// given back too early is wrong.
/// </summary>
public sealed class LentAnswerTests
{
    private const int Records = 3_000;

    private static readonly TopicPartition T0 = new("t", 0);

    private readonly UnreliableCluster _cluster = new(1, partitions: 1, faults: 0) { Calm = true };
    private int _lent;
    private int _givenBack;

    [Theory]
    [InlineData(CompressionType.None)]
    [InlineData(CompressionType.Gzip)]
    public async Task Answers_are_given_back_when_their_records_were_handed_out(CompressionType compression)
    {
        await FillAsync(compression, headerEvery: int.MaxValue);
        var records = await ReadAllAsync();
        _lent.ShouldBeGreaterThan(10);

        // The answer after the last record's, if any, was never handed out.
        _givenBack.ShouldBeInRange(_lent - 1, _lent);
        ShouldBeWhole(records);
    }

    [Fact]
    public async Task Answers_with_headers_are_kept_because_those_are_decoded_when_somebody_looks_at_them()
    {
        await FillAsync(CompressionType.None, headerEvery: 1_000);
        var records = await ReadAllAsync();
        _givenBack.ShouldBeInRange(1, _lent - 3);
        ShouldBeWhole(records);
        records.Count(record => record.Headers.Count > 0).ShouldBe(3);
        foreach (var record in records.Where(record => record.Headers.Count > 0))
        {
            record.Headers[0].Key.ShouldBe("n");
            BitConverter.ToInt32(record.Headers[0].Value!.Value.Span).ShouldBe((int)record.Offset);
        }
    }

    [Fact]
    public async Task An_answer_is_given_back_once_also_when_the_loop_ends_in_its_middle()
    {
        await FillAsync(CompressionType.None, headerEvery: int.MaxValue);
        await using var consumer = Assigned();
        var records = new List<ConsumeResult<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>>();
        for (var loop = 0; loop < 20; loop++)
        {
            records.AddRange(await Collect.FirstAsync(consumer, 100));
        }

        _givenBack.ShouldBeInRange(20, _lent);

        // The last record of a loop was not finished, so the next begins with it.
        records.Select(record => record.Offset).ShouldBe(Enumerable.Range(0, 20).SelectMany(loop => Enumerable.Range(loop * 99, 100)).Select(offset => (long)offset));
        foreach (var record in records)
        {
            BitConverter.ToInt32(record.Value.Span).ShouldBe((int)record.Offset);
        }
    }

    [Fact]
    public async Task Batches_that_are_handed_out_as_they_are_belong_to_the_application()
    {
        await FillAsync(CompressionType.None, headerEvery: int.MaxValue);
        await using var consumer = Assigned();
        var all = new List<ConsumedBatches>();
        await foreach (var batches in consumer.ConsumeBatchesAsync())
        {
            all.Add(batches);
            if (batches.NextOffset == Records)
            {
                break;
            }
        }

        _givenBack.ShouldBe(0);
        var next = 0;
        foreach (var batches in all)
        {
            foreach (var record in batches.Records)
            {
                BitConverter.ToInt32(record.Value).ShouldBe(next++);
            }
        }

        next.ShouldBe(Records);
    }

    private static void ShouldBeWhole(List<ConsumeResult<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> records)
    {
        for (var offset = 0; offset < Records; offset++)
        {
            records[offset].Offset.ShouldBe(offset);
            BitConverter.ToInt32(records[offset].Key.Span).ShouldBe(offset);
            BitConverter.ToInt32(records[offset].Value.Span).ShouldBe(offset);
        }
    }

    private async Task<List<ConsumeResult<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>>> ReadAllAsync()
    {
        await using var consumer = Assigned();
        return await Collect.FirstAsync(consumer, Records);
    }

    private Consumer<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> Assigned()
    {
        _cluster.Answering = Lend;
        var consumer = new StreamsClient(_cluster.Grains, TimeProvider.System, new Random(2)).CreateConsumer(Serdes.Memory, Serdes.Memory, new ConsumerOptions { MaxPartitionFetchBytes = 2_000 });
        consumer.Assign((T0, StartPosition.Earliest));
        return consumer;
    }

    private FetchResult Lend(FetchResult answer)
    {
        if (answer.Batches.IsEmpty)
        {
            return answer;
        }

        Interlocked.Increment(ref _lent);
        var copy = answer.Batches.ToArray();
        return new FetchResult(copy, answer.NextOffset, answer.HighWatermark, answer.LogStartOffset, new Loan(this, copy));
    }

    private async Task FillAsync(CompressionType compression, int headerEvery)
    {
        await using var producer = new StreamsClient(_cluster.Grains, TimeProvider.System, new Random(1)).CreateProducer(
            Serdes.Memory, Serdes.Memory, new ProducerOptions { BatchBytes = 1_000, Compression = compression });
        for (var record = 0; record < Records; record++)
        {
            ReadOnlyMemory<byte> bytes = BitConverter.GetBytes(record);
            await producer.EnqueueAsync(new ProducerRecord<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>("t", bytes, bytes)
            {
                Headers = record % headerEvery == headerEvery - 1 ? [new RecordHeader("n", bytes)] : null,
            });
        }
    }

    private sealed class Loan(LentAnswerTests test, byte[] bytes) : IDisposable
    {
        private bool _isOver;

        public void Dispose()
        {
            _isOver.ShouldBeFalse("given back twice");
            _isOver = true;
            Array.Fill(bytes, (byte)0xEE);
            Interlocked.Increment(ref test._givenBack);
        }
    }
}
