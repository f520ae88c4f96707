using OrleansStreams.Clients;

namespace OrleansStreams.Tests.Clients;

internal static class Collect
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>The next records, of which the last is not finished yet; says how many came when the rest does not.</summary>
    public static async Task<List<ConsumeResult<TKey, TValue>>> FirstAsync<TKey, TValue>(Consumer<TKey, TValue> consumer, int count, Action<ConsumeResult<TKey, TValue>>? each = null)
    {
        var records = new List<ConsumeResult<TKey, TValue>>();
        using var patience = new CancellationTokenSource(Patience);
        try
        {
            await foreach (var record in consumer.ConsumeAsync(patience.Token))
            {
                records.Add(record);
                each?.Invoke(record);
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
