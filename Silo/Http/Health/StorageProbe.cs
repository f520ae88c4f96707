using System.Globalization;
using OrleansStreams.Silo.Hosting;
using OrleansStreams.Storage;

namespace OrleansStreams.Silo.Http.Health;

/// <summary>
/// Writes a checkpoint of a few bytes to a log of its own, which goes through the same path as every durable write and leaves nothing behind but
/// the last one; an orderly stop removes that too, because in a cluster every start may be on a host of another name. Answers are kept for a second, so that eager probing costs no disk; a storage that is still trying after some seconds (a database
/// that is away) is told as what it is.
/// </summary>
internal sealed class StorageProbe(IServiceProvider services, TimeProvider time) : IReadinessProbe, IAsyncDisposable
{
    private static readonly TimeSpan KeptFor = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    // Silos that share a machine share a name, and would fence each other's log at every question.
    private readonly LogId id = new(string.Create(
        CultureInfo.InvariantCulture, $"health/{SafeName(Environment.MachineName)}-{services.GetService<SiloSettings>()?.Cluster.SiloPort ?? 0}"));

    private readonly ILogStorage? storage = services.GetService<ILogStorage>();
    private readonly SemaphoreSlim turn = new(1, 1);
    private ILog? log;
    private long askedAt;
    private bool asked;
    private string? answer;

    public string Name => "storage";

    public async ValueTask<string?> CheckAsync(CancellationToken cancellationToken)
    {
        await turn.WaitAsync(cancellationToken);
        try
        {
            if (!asked || time.GetElapsedTime(askedAt) > KeptFor)
            {
                answer = await ProbeAsync();
                asked = true;
                askedAt = time.GetTimestamp();
            }

            return answer;
        }
        finally
        {
            turn.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (log is not null)
        {
            await CloseAsync();
            await RemoveAsync();
        }

        turn.Dispose();
    }

    private async Task<string?> ProbeAsync()
    {
        if (storage is null)
        {
            return null;
        }

        // A second try, because another silo with this name may have fenced the log that is open here.
        for (var attempt = 0; ; attempt++)
        {
            try
            {
                log ??= await storage.OpenAsync(id, new LogOptions()).AsTask().WaitAsync(Patience, time);
                await log.WriteCheckpointAsync("ready"u8.ToArray(), log.DurableEndOffset).AsTask().WaitAsync(Patience, time);
                return null;
            }
            catch (TimeoutException)
            {
                // Not closed: closing would wait for what is under way. The next opening takes the log over.
                log = null;
                return $"The storage has not answered for {Patience.TotalSeconds:0} s; check its disk, or the database and the way to it.";
            }
            catch (Exception exception)
            {
                await CloseAsync();
                if (attempt > 0)
                {
                    return $"The storage cannot be written: {exception.Message}";
                }
            }
        }
    }

    private async Task RemoveAsync()
    {
        try
        {
            await storage!.DeleteAsync(id).AsTask().WaitAsync(Patience, time);
        }
        catch (Exception exception) when (exception is StreamsException or TimeoutException)
        {
            // The stop goes on: what stays is a row or an empty folder, which the next start of this silo takes over.
        }
    }

    private async ValueTask CloseAsync()
    {
        var closing = log;
        log = null;
        try
        {
            await (closing?.DisposeAsync() ?? ValueTask.CompletedTask);
        }
        catch (StreamsException)
        {
            // A log that failed may fail to close as well; what matters was said already.
        }
    }

    private static string SafeName(string name) => string.Concat(name.Select(letter => char.IsAsciiLetterOrDigit(letter) ? letter : '-').Prepend('m').Take(200));
}
