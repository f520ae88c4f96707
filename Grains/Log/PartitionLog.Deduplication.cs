using System.Collections.Immutable;
using OrleansStreams.Log.Deduplication;
using OrleansStreams.Records;

namespace OrleansStreams.Log;

/// <content>Idempotency keys.</content>
internal sealed partial class PartitionLog
{
    private readonly IdempotencyKeys _keys = new();

    /// <summary>Idempotency keys that are remembered.</summary>
    public int KeyCount => _keys.Count;

    /// <summary>Answers a request of which nothing is to be appended because all of it is in the log or on its way there.</summary>
    private async Task<ProduceResult> AnswerKnownKeysAsync(AppendPlan plan, DeduplicationResult settled)
    {
        await WaitUntilDurableAsync(settled.OriginalsEndOffset);
        foreach (var batch in plan.Batches)
        {
            if (batch.Verdict != SequenceVerdict.AllKeysKnown)
            {
                await WaitUntilDurableAsync(batch.Verdict == SequenceVerdict.Duplicate ? batch.Original.NextOffset : _log.NextOffset);
            }
        }

        return Answer(plan, -1, -1, settled.Duplicates, isDuplicate: true);
    }

    /// <summary>The answer to a request, whose fresh batches stand at an offset.</summary>
    private ProduceResult Answer(in AppendPlan plan, long baseOffset, long appendTime, ImmutableArray<DuplicateRecord> duplicates, bool isDuplicate)
    {
        ref readonly var first = ref plan.Batches[0];
        var (offset, time) = first.Verdict switch
        {
            SequenceVerdict.Next => (baseOffset, appendTime),
            SequenceVerdict.Duplicate => (first.Original.BaseOffset, first.Original.LogAppendTime),
            SequenceVerdict.AllKeysKnown => (duplicates[0].Offset, Config.MessageTimestampType == TimestampType.LogAppendTime ? duplicates[0].Timestamp : -1),
            _ => (-1L, -1L),
        };
        return new ProduceResult(offset, time, _log.StartOffset, isDuplicate) { Duplicates = duplicates };
    }

    /// <summary>Remembers the keys of a batch that stands in the log, after the checkpoint. Their age is not known: they are remembered for a whole window from now on.</summary>
    private void RecoverKeys(ReadOnlyMemory<byte> batch, long from, in DedupRules rules)
    {
        try
        {
            for (var records = new RawRecords(batch); records.TryRead(out var record);)
            {
                if (record.Offset >= from && RecordInspection.KeyOf(record) is { } key && !_keys.TryFind(key, rules.NotBefore, out _))
                {
                    _keys.Add(key, new RememberedKey(record.Offset, record.Timestamp, rules.Now), rules.KeysMax);
                }
            }
        }
        catch (StreamsException)
        {
            // It came in while the topic did not look into records; nobody can read it, so it has no keys either.
        }
    }
}
