using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Clients;

/// <summary>
/// Collects one partition's records into batches and sends them in order, several under way at once. A batch's sequence is fixed when it is first sent, so
/// a retry carries the same sequence and the partition drops what it already has. When a batch fails for good, the batches behind it would leave a gap: the
/// sender goes to the next producer epoch and numbers them anew from 0, which also fences whatever of the old epoch is still on its way.
/// A caller only copies its record into the open batch; headers, CRC, compression and calls are the loop's, on another thread.
/// </summary>
internal sealed partial class PartitionSender(
    TopicPartition partition, IPartitionGrain grain, ProducerOptions options, ClientRetry retry, BufferMemory memory, Func<Task<long>> newProducerId, Action<long> batchOpened)
{
    private const int FirstBufferBytes = 4096;

    // A batch that is not full is sent early only while this many are under way: one that is being written and one that is written next. More of them
    // would reach the disk no sooner, and cost a call each.
    private const int EarlyInFlightMax = 2;

    private readonly Lock _gate = new();
    private readonly Queue<PendingBatch> _sealed = new();
    private readonly List<PendingBatch> _inFlight = [];
    private readonly AsyncSignal _changed = new();
    private PendingBatch? _open;
    private Action? _wake;
    private ITimer? _lingerTimer;
    private Task _loop = Task.CompletedTask;
    private int _bufferBytes = FirstBufferBytes;
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
        PendingBatch open;
        int index;
        var start = false;
        var opened = false;
        lock (_gate)
        {
            if (_open is not null && _open.Builder.SizeBytes + bytes > options.BatchBytes)
            {
                SealLocked();
            }

            opened = _open is null;
            open = _open ?? NewBatch(producerId);

            // A record that the batch refuses leaves nothing behind, and no empty batch either.
            open.Builder.Append(timestamp, key, keyIsNull, value, valueIsNull, headers);
            _open = open;
            open.BufferedBytes += bytes;
            index = open.Builder.Count - 1;
            if (open.Builder.SizeBytes >= options.BatchBytes)
            {
                SealLocked();
            }

            if (opened)
            {
                start = !_running;
                _running = true;
                AwaitLingerLocked();
            }
        }

        if (opened)
        {
            if (start)
            {
                _loop = RunAsync();
            }

            batchOpened(open.OpenedAt);
        }

        return new PendingDelivery(open, index, timestamp);
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
        }

        _changed.Set();
        await Task.WhenAll(batches);
    }

    /// <summary>Waits until nothing is under way.</summary>
    public async Task DrainAsync()
    {
        await _loop;
        _lingerTimer?.Dispose();
    }

    private PendingBatch NewBatch(long producerId)
    {
        if (_producerId < 0 && producerId >= 0)
        {
            (_producerId, _producerEpoch) = (producerId, 0);
        }

        // A buffer as large as the last batch needed: a busy partition's never grows, and a quiet one's stays small.
        return new PendingBatch(partition, new RecordBatchBuilder(options.Compression, _bufferBytes), retry.Time.GetTimestamp());
    }

    private void SealLocked()
    {
        var batch = _open!;
        _open = null;
        _hurry = false;
        _bufferBytes = Math.Max(FirstBufferBytes, Math.Min(batch.Builder.SizeBytes, options.BatchBytes));
        _sealed.Enqueue(batch);
        _changed.Set();
    }

    /// <summary>A batch was opened: the loop comes back to it when it has lingered.</summary>
    private void AwaitLingerLocked()
    {
        if (_open is null)
        {
            return;
        }

        if (options.LingerMs == 0)
        {
            if (_inFlight.Count < EarlyInFlightMax)
            {
                _changed.Set();
            }

            return;
        }

        _lingerTimer ??= retry.Time.CreateTimer(static state => ((PartitionSender)state!)._changed.Set(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _lingerTimer.Change(TimeSpan.FromMilliseconds(options.LingerMs), Timeout.InfiniteTimeSpan);
    }

    /// <summary>Runs while there is something to send; <see cref="Append"/> starts it again.</summary>
    private async Task RunAsync()
    {
        while (true)
        {
            FillWindow();
            lock (_gate)
            {
                if (_inFlight.Count == 0 && _open is null && _sealed.Count == 0)
                {
                    _running = false;
                    return;
                }
            }

            await _changed.WaitAsync();
            await SettleAsync();
        }
    }

    // A partition lets a producer that it does not know begin at any sequence (it may have forgotten it). So the first batch must be in before others
    // are sent: one that overtook it would make it look like a repetition from the past.
    private int Window() => _established || !options.IsIdempotent ? options.InFlightMax : 1;

    private void FillWindow()
    {
        while (_inFlight.Count < Window() && TakeNext() is { } batch)
        {
            if (options.IsIdempotent)
            {
                batch.Finish(_producerId, _producerEpoch, _nextSequence);
                AdvanceSequence(batch.RecordCount);
            }
            else
            {
                batch.Finish(RecordBatchHeader.NoProducerId, -1, -1);
            }

            Send(batch, behindOthers: _inFlight.Count > 1);
        }
    }

    /// <summary>Takes the next batch into the window: a sealed one, or the open one when its time has come.</summary>
    private PendingBatch? TakeNext()
    {
        lock (_gate)
        {
            if (_sealed.Count == 0 && _open is not null && (_hurry || (_inFlight.Count < EarlyInFlightMax && HasLingeredLocked())))
            {
                SealLocked();
            }

            if (_sealed.TryDequeue(out var batch))
            {
                _inFlight.Add(batch);
            }

            return batch;
        }
    }

    private bool HasLingeredLocked()
    {
        if (options.LingerMs == 0)
        {
            return true;
        }

        var left = TimeSpan.FromMilliseconds(options.LingerMs) - retry.Time.GetElapsedTime(_open!.OpenedAt);
        if (left <= TimeSpan.Zero)
        {
            return true;
        }

        // A timer may be early, and knows no parts of a millisecond: it is set again for what is left, rounded up.
        _lingerTimer!.Change(TimeSpan.FromMilliseconds(Math.Ceiling(left.TotalMilliseconds)), Timeout.InfiniteTimeSpan);
        return false;
    }

    // Kafka's rule: sequences wrap to 0 after int.MaxValue.
    private void AdvanceSequence(int records) => _nextSequence = (int)(((long)_nextSequence + records) % (1L << 31));

    private void Send(PendingBatch batch, bool behindOthers)
    {
        var call = SendAsync(new ProduceRequest(batch.Bytes));
        batch.Called(call, behindOthers);
        call.GetAwaiter().UnsafeOnCompleted(_wake ??= _changed.Set);
    }

    private async Task<ProduceResult> SendAsync(ProduceRequest request)
    {
        if (options.Acks == Acks.None)
        {
            await grain.AppendOneWayAsync(request);
            return new ProduceResult(-1, -1, -1, false);
        }

        return await grain.AppendAsync(request);
    }

    /// <summary>Takes finished calls from the front of the window; a failure stops it until all are back, so that order is kept.</summary>
    private async ValueTask SettleAsync()
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

    private void Complete(PendingBatch batch)
    {
        var result = batch.Call!.Result;
        Remove(batch);
        _established = true;

        // Without acknowledgements nobody says when the partition has read the bytes.
        batch.Succeed(result, isAnswered: options.Acks == Acks.All);
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
