namespace OrleansStreams.Storage.Postgres;

/// <content>Truncation, checkpoints and rolls: one at a time, in the order of the calls.</content>
internal sealed partial class PostgresLog
{
    public ValueTask TruncatePrefixAsync(long newStartOffset, CancellationToken cancellationToken = default)
    {
        lock (_gate)
        {
            LogRules.CheckNotAboveEnd(Id, newStartOffset, _durableEndOffset);
        }

        return RunControlAsync(() => TruncateAsync(newStartOffset), cancellationToken);
    }

    public ValueTask WriteCheckpointAsync(ReadOnlyMemory<byte> blob, long offset, CancellationToken cancellationToken = default)
    {
        lock (_gate)
        {
            LogRules.CheckNotAboveEnd(Id, offset, _durableEndOffset);
        }

        var checkpoint = new LogCheckpoint(offset, blob.ToArray());
        return RunControlAsync(
            async () =>
            {
                // Behind the records that it speaks of in the server's one WAL: no crash leaves it without them, even when they were committed asynchronously.
                CheckLeads(await _shared.Database.RunAsync(connection => LogStatements.WriteCheckpointAsync(connection, _key, LeaderEpoch, checkpoint)));
                Volatile.Write(ref _checkpoint, checkpoint);
            },
            cancellationToken);
    }

    public ValueTask RollAsync(CancellationToken cancellationToken = default) => RunControlAsync(() => HoldingAsync(RollHeldAsync), cancellationToken);

    private Task TruncateAsync(long newStartOffset) => newStartOffset <= StartOffset ? Task.CompletedTask : HoldingAsync(async () =>
    {
        SegmentRow? rolled;
        lock (_gate)
        {
            rolled = _active.Batches > 0 && _active.EndOffset <= newStartOffset ? _active : null;
        }

        CheckLeads(await _shared.Database.RunAsync(connection => LogStatements.TruncateAsync(connection, _key, LeaderEpoch, newStartOffset, rolled)));
        List<SegmentRow> freed;
        lock (_gate)
        {
            Volatile.Write(ref _startOffset, newStartOffset);
            Close(rolled);
            freed = _closed.FindAll(segment => segment.EndOffset <= newStartOffset);
            _closed.RemoveRange(0, freed.Count);
        }

        // The rows go in the background, some at a time.
        _shared.Janitor.Delete(_key, freed);
    });

    private async Task RollHeldAsync()
    {
        SegmentRow active;
        lock (_gate)
        {
            active = _active;
        }

        if (active.Batches > 0)
        {
            CheckLeads(await _shared.Database.RunAsync(connection => LogStatements.RollAsync(connection, _key, LeaderEpoch, active)));
            lock (_gate)
            {
                Close(active);
            }
        }
    }

    private void Close(SegmentRow? rolled)
    {
        if (rolled is { } segment)
        {
            _closed.Add(segment);
            _active = SegmentRow.EmptyAt(segment.EndOffset);
        }
    }

    private ValueTask RunControlAsync(Func<Task> action, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            CheckUsable();
        }

        return new ValueTask(Detached.RunAsync(async () =>
        {
            await _controls.WaitAsync(cancellationToken);
            try
            {
                lock (_gate)
                {
                    CheckNotLost();
                }

                _shared.Database.CheckOwned();
                await action();
            }
            catch (Exception exception) when (exception is not (StreamsException or InvalidOperationException or OperationCanceledException))
            {
                throw PostgresErrors.Translate(Id, WriteOutcome.Unknown, exception);
            }
            finally
            {
                _controls.Release();
            }
        }));
    }

    /// <summary>Acts while no round of this log is under way; appends made meanwhile wait.</summary>
    private async Task HoldingAsync(Func<Task> action)
    {
        Task turn;
        lock (_gate)
        {
            if (_isBusy)
            {
                var holder = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                _holders.Enqueue(holder);
                turn = holder.Task;
            }
            else
            {
                _isBusy = true;
                turn = Task.CompletedTask;
            }
        }

        await turn;
        try
        {
            lock (_gate)
            {
                CheckNotLost();
            }

            await action();
        }
        finally
        {
            bool hasMore;
            lock (_gate)
            {
                hasMore = Next();
            }

            if (hasMore)
            {
                _shared.Writer.Enqueue(this);
            }
        }
    }

    private void CheckLeads(bool leads)
    {
        if (!leads)
        {
            Fence();
            throw LogRules.Fenced(Id, LeaderEpoch);
        }
    }
}
