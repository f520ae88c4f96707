using System.Threading.Channels;
using OrleansStreams.Log;

namespace OrleansStreams.Clients;

/// <summary>What a fetcher hands over: an answer with batches, or the failure that ended it.</summary>
internal sealed record FetchedChunk(PartitionFetcher? From, FetchResult? Answer, long FirstOffset, Exception? Error)
{
    public ReadOnlyMemory<byte> Batches => Answer is null ? default : Answer.Batches;

    public long NextOffset => Answer is null ? FirstOffset : Answer.NextOffset;

    /// <summary>Gives the batches' memory back: nobody has a view of it, nor ever gets one.</summary>
    public void Release() => Answer?.Release();
}

/// <summary>
/// Reads one partition ahead of the application: while that works on one answer, the next is being read or waits, and no more, so memory is bounded.
/// Stopped by revocation, pause and seek; what it had read is dropped then.
/// </summary>
internal sealed class PartitionFetcher : IDisposable
{
    private readonly IPartitionGrain _grain;
    private readonly ConsumerOptions _options;
    private readonly ClientRetry _retry;
    private readonly ChannelWriter<FetchedChunk> _output;
    private readonly CancellationTokenSource _stopping = new();
    private readonly SemaphoreSlim _room = new(1, 1);
    private volatile bool _isStopped;

    public PartitionFetcher(OwnedPartition owned, IPartitionGrain grain, ConsumerOptions options, ClientRetry retry, ChannelWriter<FetchedChunk> output)
    {
        Owned = owned;
        _grain = grain;
        _options = options;
        _retry = retry;
        _output = output;
    }

    public OwnedPartition Owned { get; }

    public TopicPartition Partition => Owned.Partition;

    /// <summary>False from the moment at which it was stopped: its chunks count no more.</summary>
    public bool IsCurrent => !_isStopped;

    /// <summary>Reads from an offset until it is stopped or fails for good.</summary>
    public async Task RunAsync(long offset)
    {
        try
        {
            while (true)
            {
                await _room.WaitAsync(_stopping.Token);
                var first = offset;
                FetchResult result;
                do
                {
                    result = await FetchAsync(offset);
                    offset = result.NextOffset;
                }
                while (result.Batches.IsEmpty);
                await _output.WriteAsync(new FetchedChunk(this, result, first, null), _stopping.Token);
            }
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            // Stopped.
        }
        catch (Exception error)
        {
            _output.TryWrite(new FetchedChunk(this, null, offset, error));
        }
    }

    /// <summary>The application has taken a chunk: the next may be read.</summary>
    public void MakeRoom() => _room.Release();

    public void Dispose()
    {
        _isStopped = true;
        _stopping.Cancel();
    }

    private Task<FetchResult> FetchAsync(long offset)
    {
        var request = new FetchRequest(offset, _options.MaxPartitionFetchBytes, MinBytes: 1, _options.FetchMaxWaitMs);
        return _retry.RunAsync(() => _grain.FetchAsync(request, _stopping.Token), _options.RequestTimeout, _stopping.Token);
    }
}
