using OrleansStreams.Processing.State;

namespace OrleansStreams.Processing;

/// <summary>Following the committed changes of a store.</summary>
internal sealed partial class StreamTask
{
    private static readonly TimeSpan s_feedPatience = TimeSpan.FromMinutes(1);

    private TaskCompletionSource _commitSignal = NewWake();
    private int _pollsEnded;

    /// <summary>
    /// The changes of a store since a version, when there are any or the time is over. Unlike a read it hastens no commit: it tells of commits that are durable when it looks, and looks
    /// again after each, so that a thousand followers cost no commit more than none.
    /// </summary>
    /// <exception cref="StreamsException">TaskNotReady, ApplicationNotRunning, StoreNotFound, InvalidRequest.</exception>
    public async Task<StoreChanges> WatchAsync(StoreWatch watch, CancellationToken cancellationToken)
    {
        var began = Time.GetTimestamp();
        var pollsEnded = _pollsEnded;
        while (true)
        {
            if (_engine is not { } engine || State is not (StreamTaskState.Running or StreamTaskState.Completed))
            {
                throw NotRunning();
            }

            var feed = engine.Feeds.Of(engine.Store(watch.Store), engine.State.Commit);
            feed.AskedAt = Time.GetTimestamp();
            var durable = _committed?.Commits ?? 0;
            var (changes, commit) = watch.Since is { } since && since.Incarnation == engine.Outbox.ProducerId ? feed.Between(since.Commit, durable, watch.Key) : (null, feed.Start);
            var left = TimeSpan.FromMilliseconds(watch.WaitMs) - Time.GetElapsedTime(began);

            // A version to begin with must be durable: after a crash another commit might have its number.
            if (changes is null ? commit <= durable : changes.Count > 0 || left <= TimeSpan.Zero || pollsEnded != _pollsEnded)
            {
                return new StoreChanges([.. changes ?? []], new StoreVersion(engine.Outbox.ProducerId, commit), changes is null)
                {
                    KeySerde = engine.KeySerdeOf(watch.Store),
                    ValueSerde = engine.ValueSerdeOf(watch.Store),
                };
            }

            await NextCommitAsync(changes is null ? Options.QueryWait : left, cancellationToken);
        }
    }

    /// <summary>Answers those who wait for changes with none.</summary>
    public void EndLongPolls()
    {
        _pollsEnded++;
        _commitSignal.TrySetResult();
    }

    /// <summary>A commit is durable and delivered, or the run has ended.</summary>
    private void TellCommitted()
    {
        _commitSignal.TrySetResult();
        _engine?.Feeds.Close(feed => Time.GetElapsedTime(feed.AskedAt) > s_feedPatience);
        DropOrders();
    }

    private async Task NextCommitAsync(TimeSpan wait, CancellationToken cancellationToken)
    {
        if (_commitSignal.Task.IsCompleted)
        {
            _commitSignal = NewWake();
        }

        try
        {
            await _commitSignal.Task.WaitAsync(wait, Time, cancellationToken);
        }
        catch (TimeoutException)
        {
            // Nothing came; the caller looks whether that is an answer.
        }
    }
}
