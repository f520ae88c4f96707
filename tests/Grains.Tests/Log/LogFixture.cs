using System.Text;
using OrleansStreams.Errors;
using OrleansStreams.Log.Compaction;
using OrleansStreams.Records;
using OrleansStreams.Storage;

namespace OrleansStreams.Log;

/// <summary>A partition's log over storage in memory, whose writes a test may hold back.</summary>
internal sealed class LogFixture
{
    public static readonly LogId Id = new("topics/t.0000000000000001/0");

    private TaskCompletionSource? _held;

    public ManualTime Time { get; } = new();

    public MemoryLogStorage Storage { get; } = new();

    public StreamsOptions Options { get; set; } = new();

    public CompactionSlots Slots { get; set; } = new(new StreamsOptions());

    /// <summary>The clock in ms since the Unix epoch.</summary>
    public long Now => Time.GetUtcNow().ToUnixTimeMilliseconds();

    public TopicConfig Config { get; set; } = TopicConfig.Default;

    public static byte[] Batch(params string[] values) => BatchOf(-1, -1, -1, 1000, values);

    public static byte[] BatchAt(long timestamp, params string[] values) => BatchOf(-1, -1, -1, timestamp, values);

    /// <summary>A batch of an idempotent producer; its values name their sequences.</summary>
    public static byte[] Sequenced(long producerId, int sequence, int count = 1, short epoch = 0) =>
        BatchOf(producerId, epoch, sequence, 1000, [.. Enumerable.Range(0, count).Select(i => $"{producerId}:{Sequences.Add(sequence, i)}")]);

    public static byte[] BatchOf(long producerId, short epoch, int sequence, long timestamp, params string[] values)
    {
        var builder = new RecordBatchBuilder();
        foreach (var value in values)
        {
            builder.Append(timestamp, default, true, Encoding.UTF8.GetBytes(value), false);
        }

        return builder.Build(producerId, epoch, sequence);
    }

    public ValueTask<PartitionLog> OpenAsync() => PartitionLog.OpenAsync(Storage, Id, Config, Options, Time);

    /// <summary>Holds back every write until <see cref="ReleaseWrites"/>.</summary>
    public void HoldWrites()
    {
        var held = _held = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Storage.BeforeWrite = _ => held.Task;
    }

    public void ReleaseWrites()
    {
        Storage.BeforeWrite = null;
        _held!.SetResult();
    }

    public void FailWrites(Exception exception)
    {
        Storage.BeforeWrite = null;
        _held!.SetException(exception);
    }

    /// <summary>All records of the log as text, with their offsets.</summary>
    public static async Task<List<(long Offset, string Value)>> ReadAllAsync(PartitionLog log)
    {
        var records = new List<(long, string)>();
        var offset = log.Offsets.LogStartOffset;
        while (offset < log.Offsets.HighWatermark)
        {
            var fetched = await log.FetchAsync(new FetchRequest(offset, 100_000, 1, 0), default);
            for (var rest = fetched.Batches; !rest.IsEmpty; rest = rest[RecordBatchHeader.Read(rest.Span).TotalBytes..])
            {
                var reader = new RecordBatchReader(rest);
                while (reader.TryRead(out var record))
                {
                    records.Add((record.Offset, Encoding.UTF8.GetString(record.Value)));
                }
            }

            offset = fetched.NextOffset;
        }

        return records;
    }

    public static async Task<StreamsException> RefusedAsync(Task task) => await Should.ThrowAsync<StreamsException>(() => task);
}
