using System.Text;
using OrleansStreams.Records;

namespace OrleansStreams.Log.Compaction;

/// <summary>A partition of a compacted topic with small segments, and what stands in it.</summary>
internal static class CompactionFixture
{
    /// <summary>Compacts whatever there is: no ratio, small segments.</summary>
    public static TopicConfig Compacted { get; } = new()
    {
        CleanupPolicy = CleanupPolicy.Compact, SegmentBytes = 1024, MinCleanableDirtyRatio = 0, DeleteRetentionMs = 60_000,
    };

    /// <summary>One batch with a record for each pair; a null value is a tombstone.</summary>
    public static byte[] Keyed(long timestamp, params (string? Key, string? Value)[] records) => Keyed(CompressionType.None, timestamp, records);

    public static byte[] Keyed(CompressionType compression, long timestamp, params (string? Key, string? Value)[] records)
    {
        var builder = new RecordBatchBuilder(compression);
        foreach (var (key, value) in records)
        {
            builder.Append(timestamp, Encoding.UTF8.GetBytes(key ?? string.Empty), key is null, Encoding.UTF8.GetBytes(value ?? string.Empty), value is null);
        }

        return builder.Build();
    }

    /// <summary>Appends so much that what was before lies in closed segments.</summary>
    public static async Task CloseSegmentAsync(this PartitionLog log, long timestamp) =>
        await log.AppendAsync(Keyed(timestamp, ($"filler-{log.Offsets.LogEndOffset}", new string('.', 1100))));

    /// <summary>Maintains and waits for the compaction.</summary>
    public static async Task CompactAsync(this PartitionLog log, LogFixture fixture)
    {
        Exception? failure = null;
        log.CompactionFailed = exception => failure = exception;
        await log.MaintainAsync(fixture.Slots);
        await log.Compacting;
        failure.ShouldBeNull();
    }

    /// <summary>All records but the fillers; null values show as "-". Checks that every offset is covered by exactly one batch.</summary>
    public static async Task<List<(long Offset, string Key, string Value)>> RecordsAsync(this PartitionLog log, int maxBytes = 100_000)
    {
        var records = new List<(long, string, string)>();
        var offset = log.Offsets.LogStartOffset;
        var last = -1L;
        while (offset < log.Offsets.HighWatermark)
        {
            var fetched = await log.FetchAsync(new FetchRequest(offset, maxBytes, 1, 0), default);
            fetched.Batches.IsEmpty.ShouldBeFalse();
            for (var rest = fetched.Batches; !rest.IsEmpty;)
            {
                RecordBatch.Validate(rest.Span, out var header).ShouldBe(Errors.StreamsErrorCode.None);
                offset.ShouldBeInRange(header.BaseOffset, header.LastOffset);
                var reader = new RecordBatchReader(rest[..header.TotalBytes]);
                while (reader.TryRead(out var record))
                {
                    record.Offset.ShouldBeGreaterThan(last);
                    last = record.Offset;
                    var key = Encoding.UTF8.GetString(record.Key);
                    if (record.Offset >= offset && !header.IsControl && !key.StartsWith("filler", StringComparison.Ordinal))
                    {
                        records.Add((record.Offset, key, record.ValueIsNull ? "-" : Encoding.UTF8.GetString(record.Value)));
                    }
                }

                offset = header.NextOffset;
                rest = rest[header.TotalBytes..];
            }
        }

        return records;
    }
}
