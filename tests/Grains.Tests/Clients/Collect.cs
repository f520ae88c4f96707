using OrleansStreams.Clients;

namespace OrleansStreams.Tests.Clients;

internal static class Collect
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>The next records, of which the last is not finished yet; says how many came when the rest does not.</summary>
    public static Task<List<ConsumeResult<TKey, TValue>>> FirstAsync<TKey, TValue>(Consumer<TKey, TValue> consumer, int count, Action<ConsumeResult<TKey, TValue>>? each = null) =>
        FirstAsync(consumer, count, record =>
        {
            each?.Invoke(record);
            return Task.CompletedTask;
        });

    /// <summary>The same; what is done with one record ends before the next is asked for.</summary>
    public static async Task<List<ConsumeResult<TKey, TValue>>> FirstAsync<TKey, TValue>(Consumer<TKey, TValue> consumer, int count, Func<ConsumeResult<TKey, TValue>, Task> each)
    {
        var records = new List<ConsumeResult<TKey, TValue>>();
        using var patience = new CancellationTokenSource(Patience);
        try
        {
            await foreach (var record in consumer.ConsumeAsync(patience.Token))
            {
                records.Add(record);
                await each(record);
                if (records.Count == count)
                {
                    break;
                }
            }
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"{records.Count} of {count} records came");
        }

        return records;
    }
}
