namespace OrleansStreams.Tests.Cluster;

/// <summary>Lets a test wait, within a bound, until something has come true, told by whoever changes it.</summary>
internal sealed class Changes
{
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Something has changed.</summary>
    public void Tell() => Interlocked.Exchange(ref _changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();

    /// <summary>Returns when the condition holds.</summary>
    /// <exception cref="TimeoutException">It did not come to hold within the bound; <paramref name="what"/> says what was waited for.</exception>
    public async Task UntilAsync(Func<bool> condition, TimeSpan bound, Func<string> what)
    {
        using var patience = new CancellationTokenSource(bound);
        while (true)
        {
            // Taken before the look, so that no change falls between.
            var next = Volatile.Read(ref _changed).Task;
            if (condition())
            {
                return;
            }

            try
            {
                await next.WaitAsync(patience.Token);
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"within {bound}: {what()}");
            }
        }
    }
}
