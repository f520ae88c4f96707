namespace OrleansStreams.Clients;

/// <summary>The one place that decides which failures of a grain call are passing, and how long to wait before the next try.</summary>
internal sealed class ClientRetry(TimeProvider time, Random random)
{
    private const int FirstBackoffMs = 20;
    private const int LastBackoffMs = 1_000;

    private readonly Lock _gate = new();

    public TimeProvider Time => time;

    /// <summary>Whether the same call may succeed later: a retriable error code, or a failure of the way to the grain.</summary>
    public static bool IsTransient(Exception error) => error switch
    {
        StreamsException known => known.IsRetriable,
        TimeoutException or OrleansException => true,
        _ => false,
    };

    /// <summary>Calls until it succeeds, fails for good, or the time is over; then the last failure is thrown.</summary>
    public async Task<T> RunAsync<T>(Func<Task<T>> call, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var began = time.GetTimestamp();
        for (var attempt = 0; ; attempt++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            try
            {
                return await call();
            }
            catch (Exception error) when (IsTransient(error) && time.GetElapsedTime(began) < timeout)
            {
                await BackoffAsync(attempt, cancellationToken);
            }
        }
    }

    /// <summary>Calls until it succeeds, fails for good, or the time is over.</summary>
    public Task RunAsync(Func<Task> call, TimeSpan timeout, CancellationToken cancellationToken) => RunAsync(
        async () =>
        {
            await call();
            return true;
        },
        timeout,
        cancellationToken);

    /// <summary>Waits before try number <paramref name="attempt"/> + 1: exponential, with jitter, so that clients of a dead silo don't return in step.</summary>
    public Task BackoffAsync(int attempt, CancellationToken cancellationToken)
    {
        var bound = Math.Min(LastBackoffMs, FirstBackoffMs << Math.Min(attempt, 10));
        int milliseconds;
        lock (_gate)
        {
            milliseconds = random.Next(bound / 2, bound + 1);
        }

        return Task.Delay(TimeSpan.FromMilliseconds(milliseconds), time, cancellationToken);
    }

    /// <summary>A new identifier of 128 random bits, hexadecimal.</summary>
    public string NewId()
    {
        Span<byte> bytes = stackalloc byte[16];
        lock (_gate)
        {
            random.NextBytes(bytes);
        }

        return Convert.ToHexStringLower(bytes);
    }
}
