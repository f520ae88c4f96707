using OrleansStreams.Records;

namespace OrleansStreams.Clients;

/// <content>What happens when a call fails.</content>
internal sealed partial class PartitionSender
{
    /// <summary>The first batch of the window failed: waits for the others, then sends again, in order, whatever did not succeed.</summary>
    private async Task RecoverAsync()
    {
        for (var attempt = 0; _inFlight.Count > 0; attempt++)
        {
            await Task.WhenAll(_inFlight.Select(batch => (Task)batch.Call!)).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Current);
            while (_inFlight.Count > 0 && _inFlight[0].Call!.IsCompletedSuccessfully)
            {
                Complete(_inFlight[0]);
            }

            if (_inFlight.Count == 0)
            {
                return;
            }

            foreach (var batch in _inFlight)
            {
                batch.MayBeWritten |= batch.Call!.IsFaulted && ErrorOf(batch) is not StreamsException { Outcome: WriteOutcome.NotWritten };
            }

            var first = _inFlight[0];
            var error = ErrorOf(first);
            var again = ClientRetry.IsTransient(error) || (first.SentBehindOthers && error is StreamsException { Code: StreamsErrorCode.OutOfOrderSequence });
            if (!again || options.Acks == Acks.None || IsTooLate(first))
            {
                await GiveUpAsync(first, error);
                attempt = -1;
            }
            else
            {
                await retry.BackoffAsync(attempt, error, CancellationToken.None);
            }

            var behind = false;
            foreach (var batch in _inFlight.Where(batch => !batch.Call!.IsCompletedSuccessfully).Take(Window()))
            {
                Send(batch, behind);
                behind = true;
            }
        }
    }

    private static Exception ErrorOf(PendingBatch batch) => batch.Call!.Exception?.InnerException ?? new OperationCanceledException();

    private bool IsTooLate(PendingBatch batch) => retry.Time.GetElapsedTime(batch.OpenedAt) >= TimeSpan.FromMilliseconds(options.DeliveryTimeoutMs);

    private async Task GiveUpAsync(PendingBatch batch, Exception error)
    {
        Fail(batch, error);
        if (options.IsIdempotent)
        {
            // The batches behind it get other sequences, by which the partition cannot recognise what it has of them already: those that it may have
            // are not sent again.
            foreach (var uncertain in _inFlight.Where(behind => behind.MayBeWritten && !behind.Call!.IsCompletedSuccessfully).ToList())
            {
                Fail(uncertain, ErrorOf(uncertain));
            }

            await NextEpochAsync();
        }
    }

    private void Fail(PendingBatch batch, Exception error)
    {
        Remove(batch);
        batch.Fail(error is StreamsException known && (known.Outcome != WriteOutcome.NotWritten || !batch.MayBeWritten) ? known : new StreamsException(
            StreamsErrorCode.RequestTimedOut,
            $"a batch for {partition} was not acknowledged within {options.DeliveryTimeoutMs} ms, and may have been written: {error.Message}",
            WriteOutcome.Unknown,
            error));
        lock (_gate)
        {
            _failed = _failed is null || _failed.IsObserved ? batch : _failed;
        }
    }

    private async Task NextEpochAsync()
    {
        var next = _producerEpoch < short.MaxValue ? (_producerId, (short)(_producerEpoch + 1)) : (await newProducerId(), (short)0);
        _established &= _producerId == next.Item1;
        (_producerId, _producerEpoch) = next;
        _nextSequence = 0;
        foreach (var batch in _inFlight.Where(batch => !batch.Call!.IsCompletedSuccessfully))
        {
            batch.Renumber(_producerId, _producerEpoch, _nextSequence);
            AdvanceSequence(batch.RecordCount);
        }
    }
}
