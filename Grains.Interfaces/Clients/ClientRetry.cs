using System.Data.Common;

namespace OrleansStreams.Clients;

/// <summary>The one place that decides which failures of a grain call are passing, and how long to wait before the next try.</summary>
internal sealed class ClientRetry(TimeProvider time, Random random)
{
    private const int FirstBackoffMs = 20;
    private const int LastBackoffMs = 1_000;

    // While silos go and come, a call fails within a millisecond until the dead one is declared dead, and succeeds from then on: a long wait before the
    // next try would be the longest part of a failover.
    private const int LastBackoffToGrainMs = 250;

    private readonly Lock _gate = new();

    public TimeProvider Time => time;

    /// <summary>
    /// Whether the same call may succeed later: a retriable error code, or a failure of the way to the grain. Of the latter kind is everything that Orleans
    /// throws when silos and gateways go and come: SiloUnavailableException, OrleansMessageRejectionException, GatewayTooBusyException,
    /// ClientNotAvailableException, ConnectionFailedException, InconsistentStateException (another activation was the newer one), which are all
    /// OrleansExceptions; the few others of that root are tried again in vain until the time is over. A cancellation that the caller did not ask for comes
    /// from a silo that stops, and a database's from a grain that was activated while the database was away.
    /// </summary>
    public static bool IsTransient(Exception error) => error switch
    {
        StreamsException known => known.IsRetriable,
        TimeoutException or OrleansException or OperationCanceledException => true,
        DbException database => database.IsTransient,
        _ => false,
    };

    /// <summary>Calls until it succeeds, fails for good, or the time is over.</summary>
    /// <exception cref="StreamsException">The last typed failure; RequestTimedOut, with an unknown outcome, when the time is over and no grain has said why.</exception>
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
                await BackoffAsync(attempt, error, cancellationToken);
            }
            catch (Exception error) when (error is not StreamsException && IsTransient(error) && !cancellationToken.IsCancellationRequested)
            {
                throw new StreamsException(
                    StreamsErrorCode.RequestTimedOut,
                    $"no silo answered within {timeout.TotalSeconds:0.#} s ({error.Message}); whether the request was carried out is not known: look at the silos, or try again",
                    WriteOutcome.Unknown,
                    error);
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
    public Task BackoffAsync(int attempt, Exception error, CancellationToken cancellationToken)
    {
        var bound = Math.Min(error is StreamsException ? LastBackoffMs : LastBackoffToGrainMs, FirstBackoffMs << Math.Min(attempt, 10));
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
