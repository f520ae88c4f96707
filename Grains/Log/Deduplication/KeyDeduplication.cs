using System.Collections.Immutable;
using OrleansStreams.Records;

namespace OrleansStreams.Log.Deduplication;

/// <summary>What became of a request's records with idempotency keys.</summary>
/// <param name="Duplicates">Those that the log has already, or that stand in the request before.</param>
/// <param name="OriginalsEndOffset">The offset after the last of their originals: once it is durable, they may be acknowledged.</param>
internal readonly record struct DeduplicationResult(ImmutableArray<DuplicateRecord> Duplicates, long OriginalsEndOffset);

/// <summary>
/// Takes out of a request what was sent before. A batch keeps its range of offsets and its sequences and merely lacks the records that are duplicates, so
/// that the offsets of the others and the producer's sequence in the log stay right; a batch of duplicates only is not appended at all, unless it has
/// a sequence: then it is appended empty.
/// </summary>
internal static class KeyDeduplication
{
    // Where a batch stands whose offset is forgotten: no record's original is there.
    private const long Unknown = long.MinValue / 2;

    /// <summary>Settles all keyed records of a request that will be appended from an offset on, and remembers the fresh ones.</summary>
    public static DeduplicationResult Settle(in AppendPlan plan, List<KeyedRecord> keyed, IdempotencyKeys keys, in DedupRules rules, long baseOffset, long? appendTime)
    {
        var duplicates = ImmutableArray.CreateBuilder<DuplicateRecord>();
        var originalsEnd = 0L;
        var offset = baseOffset;
        var at = 0;
        for (var i = 0; i < plan.Batches.Length; i++)
        {
            ref var batch = ref plan.Batches[i];
            var before = duplicates.Count;
            var batchOffset = batch.Verdict switch
            {
                SequenceVerdict.Next => offset,
                SequenceVerdict.Duplicate => batch.Original.BaseOffset,
                _ => Unknown,
            };
            HashSet<int>? dropped = null;
            for (; at < keyed.Count && keyed[at].Batch == i; at++)
            {
                var record = keyed[at];
                var isKnown = keys.TryFind(record.Key, rules.NotBefore, out var original);
                if (isKnown && original.Offset != batchOffset + record.Index)
                {
                    duplicates.Add(new DuplicateRecord(record.RequestIndex, original.Offset, original.Timestamp));
                    originalsEnd = Math.Max(originalsEnd, original.Offset + 1);
                    (dropped ??= []).Add(record.Index);
                }
                else if (batch.Verdict == SequenceVerdict.Next)
                {
                    keys.Add(record.Key, new RememberedKey(offset + record.Index, appendTime ?? record.Timestamp, rules.Now), rules.KeysMax);
                }
            }

            if (batch.Verdict == SequenceVerdict.Next)
            {
                Drop(ref batch, dropped);
                offset += batch.Verdict == SequenceVerdict.Next ? batch.Header.LastOffsetDelta + 1L : 0;
            }
        }

        return new DeduplicationResult(duplicates.ToImmutable(), originalsEnd);
    }

    private static void Drop(ref PlannedBatch batch, HashSet<int>? dropped)
    {
        if (dropped is null)
        {
            return;
        }

        if (dropped.Count == batch.Header.RecordCount && !batch.Header.HasProducer)
        {
            batch.Verdict = SequenceVerdict.AllKeysKnown;
            return;
        }

        var header = batch.Header;
        var builder = new SparseBatchBuilder();
        var index = 0;
        for (var records = new RawRecords(batch.Memory); records.TryRead(out var record); index++)
        {
            if (!dropped.Contains(index))
            {
                builder.Add(record);
            }
        }

        batch.Memory = builder.Build(new SparseBatch(header.BaseOffset, header.NextOffset, header.LeaderEpoch, header.Attributes)
        {
            ProducerId = header.ProducerId,
            ProducerEpoch = header.ProducerEpoch,
            BaseSequence = header.BaseSequence,
        });
    }
}

/// <summary>The bounds of remembering.</summary>
/// <param name="Now">The time in ms since the Unix epoch.</param>
/// <param name="NotBefore">Keys that were appended before are forgotten.</param>
/// <param name="KeysMax">Keys to remember at most.</param>
internal readonly record struct DedupRules(long Now, long NotBefore, int KeysMax)
{
    /// <summary>The bounds of a topic at a time.</summary>
    public static DedupRules Of(TopicConfig config, long now) => new(now, config.DedupWindowMs >= now ? 0 : now - config.DedupWindowMs + 1, config.DedupKeysMax);
}
