using Microsoft.Extensions.Logging;
using OrleansStreams.Log;

namespace OrleansStreams.Processing;

/// <summary>Deleting from repartition topics what was committed: this task is their only reader, and behind its committed position nobody reads any more.</summary>
internal sealed partial class StreamTask
{
    private Task _purge = Task.CompletedTask;
    private long _lastPurge;

    /// <summary>Begins to purge, after a commit that is durable and delivered; nothing waits for it.</summary>
    private void PurgeIfDue(TaskProgress committed)
    {
        if (!_purge.IsCompleted || !_plan.SubTopology.Sources.Any(source => source.Internal is not null))
        {
            return;
        }

        _lastPurge = _lastPurge == 0 ? Time.GetTimestamp() : _lastPurge;
        if (Time.GetElapsedTime(_lastPurge) >= Options.PurgeInterval)
        {
            _lastPurge = Time.GetTimestamp();
            _purge = PurgeAsync(committed.Positions);
        }
    }

    /// <summary>Purges when the task has ended, also at each later start: nobody else would.</summary>
    private async Task PurgeLastAsync()
    {
        await _purge;
        _purge = PurgeAsync(_engine!.Progress.Positions);
    }

    private async Task PurgeAsync(long[] positions)
    {
        try
        {
            for (var input = 0; input < positions.Length; input++)
            {
                if (_plan.SubTopology.Sources[input].Internal is not null && positions[input] > 0)
                {
                    var (partition, before) = (_plan.PartitionOf(input), positions[input]);
                    await RetryAsync(() => DeleteRecordsAsync(partition, before));
                }
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // The task stops; its next run purges.
        }
        catch (Exception error)
        {
            // What stays now goes with a later purge, or with the application.
            _environment.Logger.PurgeFailed(_name, error.Message);
        }
    }

    private async Task<bool> DeleteRecordsAsync(TopicPartition partition, long before)
    {
        await _environment.Topics.DeleteRecordsAsync(partition, before);
        return true;
    }
}
