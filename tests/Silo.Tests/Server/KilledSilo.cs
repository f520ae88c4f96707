using System.Net;
using Xunit.Abstractions;

namespace OrleansStreams.Silo.Tests.Server;

/// <summary>A silo that is killed again and again at seeded random moments, while clients work with whichever process runs.</summary>
internal sealed class KilledSilo : IAsyncDisposable
{
    private readonly string data;
    private readonly string[] settings;
    private readonly Random random;
    private readonly CancellationTokenSource ending = new();
    private readonly List<Task> clients = [];
    private volatile SiloProcess? silo;
    private volatile TaskCompletionSource<SiloProcess> up = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long done;
    private TaskCompletionSource progress = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long wanted = long.MaxValue;

    public KilledSilo(string data, ITestOutputHelper output, string test, params string[] settings)
    {
        this.data = data;
        this.settings = settings;
        var seed = Environment.GetEnvironmentVariable("SILO_KILL_SEED") is { } given ? int.Parse(given) : Random.Shared.Next();
        output.WriteLine($"seed {seed}; to repeat: SILO_KILL_SEED={seed} dotnet test tests/Silo.Tests --filter {test}");
        random = new Random(seed);
    }

    public SiloProcess Silo => silo!;

    public async Task StartAsync()
    {
        var next = SiloProcess.Start(data, sample: false, settings);
        silo = next;
        await next.ReadyAsync();
        up.SetResult(next);
    }

    /// <summary>Runs a client's step again and again until the end of the kills; a step that a kill breaks is simply over.</summary>
    public void AddClient(Func<SiloProcess, CancellationToken, Task> step) => clients.Add(RunClientAsync(step));

    /// <summary>A client tells that something was acknowledged.</summary>
    public void Progress()
    {
        if (Interlocked.Increment(ref done) >= Interlocked.Read(ref wanted))
        {
            Volatile.Read(ref progress).TrySetResult();
        }
    }

    /// <summary>Kills and restarts so often; every third kill hits start and recovery, the others the work.</summary>
    public async Task KillAsync(int kills)
    {
        for (var kill = 0; kill < kills; kill++)
        {
            await ProgressAsync(5 + random.Next(40));

            // The delays are the faults that are injected, not waits for something.
            await Task.Delay(random.Next(0, 100));
            await DownAsync();
            if (kill % 3 == 2)
            {
                silo = SiloProcess.Start(data, sample: false, settings);
                await Task.Delay(random.Next(0, 900));
                await silo.KillAsync();
                await silo.DisposeAsync();
            }

            await StartAsync();
        }

        await ProgressAsync(20);
        await ending.CancelAsync();
        await Task.WhenAll(clients);
        await DownAsync();
        await StartAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await ending.CancelAsync();
        await Task.WhenAll(clients).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (silo is { } last)
        {
            await last.DisposeAsync();
        }

        ending.Dispose();
    }

    private async Task DownAsync()
    {
        up = new TaskCompletionSource<SiloProcess>(TaskCreationOptions.RunContinuationsAsynchronously);
        await silo!.KillAsync();
        await silo.DisposeAsync();
    }

    /// <summary>Waits for so many more acknowledgements, and not longer than a client lives.</summary>
    private async Task ProgressAsync(int more)
    {
        var source = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Volatile.Write(ref progress, source);
        var goal = Interlocked.Read(ref done) + more;
        Interlocked.Exchange(ref wanted, goal);
        if (Interlocked.Read(ref done) >= goal)
        {
            source.TrySetResult();
        }

        var first = await Task.WhenAny([source.Task, .. clients]).WaitAsync(TimeSpan.FromSeconds(60));
        await first;
        source.Task.IsCompleted.ShouldBeTrue("a client ended before its time");
    }

    private async Task RunClientAsync(Func<SiloProcess, CancellationToken, Task> step)
    {
        while (!ending.IsCancellationRequested)
        {
            SiloProcess? running = null;
            try
            {
                running = await up.Task.WaitAsync(ending.Token);
                await step(running, ending.Token);
            }
            catch (Exception error) when (IsOfTheKill(error, running))
            {
                // What the step sent is not acknowledged: it may be there or not.
            }
        }
    }

    /// <summary>A connection that broke because its process was killed, or an answer that says to try again; anything else fails the test.</summary>
    private bool IsOfTheKill(Exception error, SiloProcess? running)
    {
        var wasKilled = running is null || running != silo || !up.Task.IsCompleted;
        return error switch
        {
            HttpRequestException { StatusCode: HttpStatusCode.ServiceUnavailable } => true,
            HttpRequestException { StatusCode: null } or System.Net.Sockets.SocketException or IOException or ObjectDisposedException => wasKilled,
            OperationCanceledException => wasKilled || ending.IsCancellationRequested,
            _ => false,
        };
    }
}
