using OrleansStreams.Log.Compaction;
using OrleansStreams.Records;

namespace OrleansStreams.Log.Deduplication;

/// <summary>A record with an idempotency key in a produce request.</summary>
/// <param name="Batch">Which batch of the request.</param>
/// <param name="Index">Which record of the batch.</param>
/// <param name="RequestIndex">Which record of the request.</param>
/// <param name="Key">The key's hash.</param>
/// <param name="Timestamp">The record's timestamp.</param>
internal readonly record struct KeyedRecord(int Batch, int Index, int RequestIndex, UInt128 Key, long Timestamp);

/// <summary>
/// Looks into the records of a request, before anything of it counts, where the topic's rules ask for it: a compacted topic takes only records with keys, a
/// topic with a dedup window looks for idempotency keys. Other topics' records are never decoded.
/// </summary>
internal static class RecordInspection
{
    public static bool IsNeeded(TopicConfig config) => config.DedupWindowMs > 0 || (config.CleanupPolicy & CleanupPolicy.Compact) != 0;

    /// <summary>The records with idempotency keys, in order; none when the topic has no dedup window.</summary>
    /// <exception cref="StreamsException">InvalidRecord, CorruptBatch; nothing was written.</exception>
    public static List<KeyedRecord> Inspect(in AppendPlan plan, TopicConfig config)
    {
        var needsKeys = (config.CleanupPolicy & CleanupPolicy.Compact) != 0;
        var keyed = new List<KeyedRecord>();
        var requestIndex = 0;
        for (var batch = 0; batch < plan.Batches.Length; batch++)
        {
            ref readonly var planned = ref plan.Batches[batch];
            if (planned.Header.IsControl)
            {
                requestIndex += planned.Header.RecordCount;
                continue;
            }

            var index = 0;
            for (var records = new RawRecords(planned.Memory); records.TryRead(out var record); index++, requestIndex++)
            {
                if (needsKeys && record.KeyIsNull)
                {
                    throw new StreamsException(
                        StreamsErrorCode.InvalidRecord,
                        $"Record {requestIndex} of the request has no key, but the topic is compacted (cleanup.policy has compact) and keeps the latest record of each key: give every record a key.",
                        WriteOutcome.NotWritten);
                }

                if (config.DedupWindowMs > 0 && KeyOf(record) is { } key)
                {
                    keyed.Add(new KeyedRecord(batch, index, requestIndex, key, record.Timestamp));
                }
            }
        }

        return keyed;
    }

    /// <summary>The hash of a record's idempotency key, or null when it has none.</summary>
    public static UInt128? KeyOf(in RawRecord record) =>
        record.TryGetHeader(IdempotencyKey.HeaderNameUtf8, out var key) && !key.IsEmpty ? KeyOffsetMap.HashOf(key) : null;
}
