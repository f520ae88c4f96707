using OrleansStreams.Log.Compaction;
using OrleansStreams.Records;

namespace OrleansStreams.Log;

/// <content>What a timer asks for: segments that end by age, retention, compaction, forgetting.</content>
internal sealed partial class PartitionLog
{
    private readonly LogCompaction _compaction;
    private readonly CancellationTokenSource _closing = new();
    private Task _compacting = Task.CompletedTask;
    private (long BaseOffset, long Since) _activeSegment = (-1, 0);

    /// <summary>Called when a compaction failed; it is tried again with the next maintenance.</summary>
    public Action<Exception>? CompactionFailed { get; set; }

    /// <summary>The compaction under way, if there is one. Never fails.</summary>
    public Task Compacting => _compacting;

    /// <summary>Where compaction has come to.</summary>
    public long CleanedOffset => _compaction.CleanedOffset;

    /// <summary>
    /// Ends the active segment when it is old enough, removes what the topic's retention no longer keeps, forgets silent producers and old idempotency
    /// keys, and begins a compaction when it is time for one and a slot is free.
    /// </summary>
    public async Task MaintainAsync(CompactionSlots slots)
    {
        if (!IsUsable)
        {
            return;
        }

        var now = _time.GetUtcNow().ToUnixTimeMilliseconds();
        if (now - _openedAtMs >= (long)_options.ProducerExpiry.TotalMilliseconds)
        {
            // Not sooner after an opening: producers that were as long away as this log was are about to send again what they don't know the fate of.
            _producers.Expire(now - (long)_options.ProducerExpiry.TotalMilliseconds);
        }

        ForgetKeys(now);
        await RollByAgeAsync(now);
        var newStart = Retention.NewStartOffset(_log.Segments, _log.StartOffset, _log.DurableEndOffset, Config, now);
        if (newStart > _log.StartOffset)
        {
            await TruncateAsync(newStart);
        }

        if ((Config.CleanupPolicy & CleanupPolicy.Compact) != 0 && IsUsable && _compacting.IsCompleted && slots.TryTake())
        {
            _compacting = CompactAsync(slots, now);
        }
    }

    /// <summary>
    /// The earliest time, in ms since the Unix epoch, at which <see cref="MaintainAsync"/> will have something to do if nobody uses the log before;
    /// <see cref="long.MaxValue"/> when there is nothing.
    /// </summary>
    public async Task<long> NextUpkeepAsync()
    {
        var (segments, start) = (_log.Segments, _log.StartOffset);
        var next = Retention.NextExpiryMs(segments, start, Config);
        if ((Config.CleanupPolicy & CleanupPolicy.Compact) == 0)
        {
            return next;
        }

        var active = segments[^1];
        if (active.Bytes > 0)
        {
            var since = _activeSegment.BaseOffset == active.BaseOffset ? _activeSegment.Since : _time.GetUtcNow().ToUnixTimeMilliseconds();
            next = Math.Min(next, Retention.Add(since, Math.Min(Config.SegmentMs, Config.MaxCompactionLagMs)));
        }

        return Math.Min(next, await TranslateAsync(new ValueTask<long>(_compaction.NextDueAsync(Config))));
    }

    /// <summary>segment.ms counts from the first record of the segment, by this partition's clock; a compacted topic's max.compaction.lag.ms bounds it, as in Kafka.</summary>
    private async Task RollByAgeAsync(long now)
    {
        var active = _log.Segments[^1];
        if (active.Bytes == 0)
        {
            return;
        }

        if (_activeSegment.BaseOffset != active.BaseOffset)
        {
            // One that was there before this opening is as old as its first record says.
            var since = now;
            if (active.BaseOffset < _openedAtOffset && active.BaseOffset >= _log.StartOffset)
            {
                var first = await TranslateAsync(_log.ReadAsync(active.BaseOffset, 1));
                since = first.Batches.IsEmpty ? now : Math.Clamp(RecordBatchHeader.Read(first.Batches.Span).BaseTimestamp, 0, now);
            }

            _activeSegment = (active.BaseOffset, since);
        }

        var lag = (Config.CleanupPolicy & CleanupPolicy.Compact) != 0 ? Config.MaxCompactionLagMs : long.MaxValue;
        if (now - _activeSegment.Since >= Math.Min(Config.SegmentMs, lag))
        {
            await TranslateAsync(_log.RollAsync());
        }
    }

    private async Task CompactAsync(CompactionSlots slots, long now)
    {
        try
        {
            await TranslateAsync(new ValueTask<bool>(_compaction.RunAsync(Config, now, SecureAsync, _closing.Token)));
        }
        catch (OperationCanceledException)
        {
            // The partition closes; the next opening goes on.
        }
        catch (StreamsException exception) when (exception.Code is StreamsErrorCode.OffsetOutOfRange || !IsUsable)
        {
            // Retention or a deletion of records was faster, or the partition has failed, which is known.
        }
        catch (Exception exception)
        {
            CompactionFailed?.Invoke(exception);
        }
        finally
        {
            slots.Release();
        }
    }

    /// <summary>Removes records below an offset, after what producers have sent with them is in a checkpoint: who sends again after a crash must be known still.</summary>
    private async Task TruncateAsync(long newStart)
    {
        if ((_producers.Count > 0 || _keys.Count > 0) && (_log.Checkpoint?.Offset ?? 0) < newStart)
        {
            await TranslateAsync(SecureAsync(newStart));
        }

        await TranslateAsync(_log.TruncatePrefixAsync(newStart));
    }

    /// <summary>Compaction takes away the batches from which producers and keys could be recovered: they must be in the checkpoint before.</summary>
    private async ValueTask SecureAsync(long belowOffset)
    {
        _bytesSinceCheckpoint = 0;
        var end = _log.DurableEndOffset;
        if (end >= belowOffset)
        {
            await _log.WriteCheckpointAsync(SerializeCheckpoint(end), end);
        }
    }

    private void ForgetKeys(long now)
    {
        if (Config.DedupWindowMs > 0)
        {
            _keys.Expire(Deduplication.DedupRules.Of(Config, now).NotBefore);
        }
        else
        {
            _keys.Clear();
        }
    }

    private byte[] SerializeCheckpoint(long belowOffset) => PartitionCheckpoint.Serialize(_producers, _keys, _compaction.CleanedOffset, belowOffset);
}
