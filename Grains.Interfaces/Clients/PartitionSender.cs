using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Clients;

/// <summary>
/// Collects one partition's records into batches and sends them in order, several under way at once. A batch's sequence is fixed when it is sealed, so a retry
/// carries the same sequence and the partition drops what it already has. When a batch fails for good, the batches behind it would leave a gap: the
/// sender goes to the next producer epoch and numbers them anew from 0, which also fences whatever of the old epoch is still on its way.
/// </summary>
internal sealed class PartitionSender(TopicPartition partition, IPartitionGrain grain, ProducerOptions options, ClientRetry retry, BufferMemory memory, Func<Task<long>> newProducerId)
{
    private readonly Lock _gate = new();
    private readonly RecordBatchBuilder _builder = new(options.Compression, options.BatchBytes + 1024);
    private readonly Queue<PendingBatch> _sealed = new();
    private readonly List<PendingBatch> _inFlight = [];
    private PendingBatch? _open;
    private Task _loop = Task.CompletedTask;
    private TaskCompletionSource _changed = NewSignal();
    private bool _running;
    private bool _hurry;
    private long _producerId = RecordBatchHeader.NoProducerId;
    private short _producerEpoch = -1;
    private int _nextSequence;
    private bool _established;
    private PendingBatch? _failed;

    /// <summary>Adds a record, whose bytes were taken from <see cref="BufferMemory"/> before. <paramref name="producerId"/> counts for the first batch only.</summary>
    public PendingDelivery Append(
        long producerId, long timestamp, ReadOnlySpan<byte> key, bool keyIsNull, ReadOnlySpan<byte> value, bool valueIsNull, IReadOnlyList<RecordHeader>? headers, long bytes)
    {
        PendingDelivery delivery;
        var start = false;
        lock (_gate)
        {
            if (_producerId < 0 && producerId >= 0)
            {
                (_producerId, _producerEpoch) = (producerId, 0);
            }

            if (_open is not null && _builder.SizeBytes + bytes > options.BatchBytes)
            {
                SealLocked();
            }

            _open ??= new PendingBatch(partition, retry.Time.GetTimestamp());
            _builder.Append(timestamp, key, keyIsNull, value, valueIsNull, headers);
            _open.BufferedBytes += bytes;
            delivery = new PendingDelivery(_open, _builder.Count - 1, timestamp);
            if (_builder.SizeBytes >= options.BatchBytes)
            {
                SealLocked();
            }

            if (!_running)
            {
                _running = start = true;
            }
        }

        if (start)
        {
            _loop = RunAsync();
        }

        return delivery;
    }

    /// <summary>Sends what is there without lingering; completes when all of it is acknowledged or failed, with the first failure, or with one since the last flush that nobody saw.</summary>
    public async Task FlushAsync()
    {
        List<Task> batches;
        lock (_gate)
        {
            var unseen = _failed is { IsObserved: false } failed ? failed.Completion : Task.CompletedTask;
            _failed = null;
            _hurry = _open is not null;
            batches = [unseen, .. _inFlight.Concat(_sealed).Concat(_open is null ? [] : [_open]).Select(batch => (Task)batch.Completion)];
            _changed.TrySetResult();
        }

        await Task.WhenAll(batches);
    }

    /// <summary>Waits until nothing is under way.</summary>
    public Task DrainAsync() => _loop;

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void SealLocked()
    {
        var batch = _open!;
        _open = null;
        _hurry = false;
        batch.RecordCount = _builder.Count;
        batch.Bytes = options.IsIdempotent ? _builder.Build(_producerId, _producerEpoch, _nextSequence) : _builder.Build();
        AdvanceSequence(batch.RecordCount);
        _sealed.Enqueue(batch);
        _changed.TrySetResult();
    }

    // Kafka's rule: sequences wrap to 0 after int.MaxValue.
    private void AdvanceSequence(int records) => _nextSequence = (int)(((long)_nextSequence + records) % (1L << 31));

    /// <summary>Runs while there is something to send; <see cref="Append"/> starts it again.</summary>
    private async Task RunAsync()
    {
        while (true)
        {
            Task changed;
            TimeSpan linger;
            lock (_gate)
            {
                FillWindowLocked();
                if (_inFlight.Count == 0 && _open is null && _sealed.Count == 0)
                {
                    _running = false;
                    return;
                }

                if (_changed.Task.IsCompleted)
                {
                    _changed = NewSignal();
                }

                changed = _changed.Task;
                linger = LingerLeftLocked();
            }

            if (_inFlight.Count > 0)
            {
                await Task.WhenAny(_inFlight[0].Call!, linger > TimeSpan.Zero ? WaitAsync(changed, linger) : changed);
                await SettleAsync();
            }
            else if (linger > TimeSpan.Zero)
            {
                await WaitAsync(changed, linger);
            }
        }
    }

    private async Task WaitAsync(Task changed, TimeSpan atMost)
    {
        try
        {
            await changed.WaitAsync(atMost, retry.Time);
        }
        catch (TimeoutException)
        {
            // The linger is over.
        }
    }

    private TimeSpan LingerLeftLocked() => _open is null || _hurry || _inFlight.Count >= WindowLocked()
        ? Timeout.InfiniteTimeSpan
        : TimeSpan.FromMilliseconds(options.LingerMs) - retry.Time.GetElapsedTime(_open.OpenedAt) is var left && left > TimeSpan.Zero ? left : TimeSpan.Zero;

    // A partition lets a producer that it does not know begin at any sequence (it may have forgotten it). So the first batch must be in before others
    // are sent: one that overtook it would make it look like a repetition from the past.
    private int WindowLocked() => _established || !options.IsIdempotent ? options.InFlightMax : 1;

    private void FillWindowLocked()
    {
        while (_inFlight.Count < WindowLocked())
        {
            if (_sealed.Count == 0 && _open is not null && (_hurry || LingerLeftLocked() == TimeSpan.Zero))
            {
                SealLocked();
            }

            if (!_sealed.TryDequeue(out var batch))
            {
                return;
            }

            batch.SentBehindOthers = _inFlight.Count > 0;
            batch.Call = SendAsync(batch);
            _inFlight.Add(batch);
        }
    }

    private async Task<ProduceResult> SendAsync(PendingBatch batch)
    {
        var request = new ProduceRequest(batch.Bytes);
        if (options.Acks == Acks.None)
        {
            await grain.AppendOneWayAsync(request);
            return new ProduceResult(-1, -1, -1, false);
        }

        return await grain.AppendAsync(request);
    }

    /// <summary>Takes finished calls from the front of the window; a failure stops it until all are back, so that order is kept.</summary>
    private async Task SettleAsync()
    {
        while (_inFlight.Count > 0 && _inFlight[0].Call!.IsCompletedSuccessfully)
        {
            Complete(_inFlight[0]);
        }

        if (_inFlight.Count > 0 && _inFlight[0].Call!.IsCompleted)
        {
            await RecoverAsync();
        }
    }

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

            var first = _inFlight[0];
            var error = first.Call!.Exception?.InnerException ?? new OperationCanceledException();
            var again = ClientRetry.IsTransient(error) || (first.SentBehindOthers && error is StreamsException { Code: StreamsErrorCode.OutOfOrderSequence });
            if (!again || options.Acks == Acks.None || IsTooLate(first))
            {
                await GiveUpAsync(first, error);
                attempt = -1;
            }
            else
            {
                await retry.BackoffAsync(attempt, CancellationToken.None);
            }

            var behind = false;
            foreach (var batch in _inFlight.Where(batch => !batch.Call!.IsCompletedSuccessfully).Take(WindowLocked()))
            {
                batch.SentBehindOthers = behind;
                batch.Call = SendAsync(batch);
                behind = true;
            }
        }
    }

    private bool IsTooLate(PendingBatch batch) => retry.Time.GetElapsedTime(batch.OpenedAt) >= TimeSpan.FromMilliseconds(options.DeliveryTimeoutMs);

    private void Complete(PendingBatch batch)
    {
        var result = batch.Call!.Result;
        Remove(batch);
        _established = true;
        batch.Succeed(result);
    }

    private async Task GiveUpAsync(PendingBatch batch, Exception error)
    {
        Remove(batch);
        batch.Fail(error as StreamsException ?? new StreamsException(
            StreamsErrorCode.RequestTimedOut,
            $"a batch for {partition} was not acknowledged within {options.DeliveryTimeoutMs} ms: {error.Message}",
            WriteOutcome.Unknown,
            error));
        lock (_gate)
        {
            _failed = _failed is null || _failed.IsObserved ? batch : _failed;
        }

        if (options.IsIdempotent)
        {
            await NextEpochAsync();
        }
    }

    private async Task NextEpochAsync()
    {
        var next = _producerEpoch < short.MaxValue ? (_producerId, (short)(_producerEpoch + 1)) : (await newProducerId(), (short)0);
        lock (_gate)
        {
            _established &= _producerId == next.Item1;
            (_producerId, _producerEpoch) = next;
            _nextSequence = 0;
            foreach (var batch in _inFlight.Where(batch => !batch.Call!.IsCompletedSuccessfully).Concat(_sealed))
            {
                // A copy: a call that was lost may still read the old bytes.
                batch.Bytes = [.. batch.Bytes];
                RecordBatch.StampProducer(batch.Bytes, _producerId, _producerEpoch, _nextSequence);
                AdvanceSequence(batch.RecordCount);
            }
        }
    }

    private void Remove(PendingBatch batch)
    {
        lock (_gate)
        {
            _inFlight.Remove(batch);
        }

        memory.Release(batch.BufferedBytes);
    }
}
