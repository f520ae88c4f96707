using System.Collections.Concurrent;

namespace OrleansStreams.Streaming.Fixture;

/// <summary>What a consumer was given, and what it does with it. All silos are in this process, so the test sees it directly.</summary>
public sealed class Probe
{
    private static readonly ConcurrentDictionary<string, Probe> s_probes = new();
    private readonly Lock _gate = new();
    private readonly List<Taken> _taken = [];
    private readonly List<string> _completed = [];
    private readonly List<int> _batchSizes = [];
    private readonly List<Exception> _errors = [];

    /// <summary>What the consumer's task does; by default it ends at once.</summary>
    public Func<string, Task> Handler { get; set; } = _ => Task.CompletedTask;

    /// <summary>All that came, also again.</summary>
    public Taken[] Taken => Locked(() => _taken.ToArray());

    public string[] Items => [.. Taken.Select(taken => taken.Item)];

    /// <summary>Items whose tasks ended well.</summary>
    public string[] Completed => Locked(() => _completed.ToArray());

    public int[] BatchSizes => Locked(() => _batchSizes.ToArray());

    public Exception[] Errors => Locked(() => _errors.ToArray());

    public static Probe For(string name) => s_probes.GetOrAdd(name, _ => new Probe());

    public async Task OnNextAsync(string item, StreamSequenceToken? token, string silo)
    {
        Locked(() => _taken.Add(new Taken(item, token!, silo, RequestContext.Get("trace") as string)));
        await Handler(item);
        Locked(() => _completed.Add(item));
    }

    public async Task OnBatchAsync(IList<SequentialItem<string>> items, string silo)
    {
        Locked(() => _batchSizes.Add(items.Count));
        foreach (var item in items)
        {
            await OnNextAsync(item.Item, item.Token, silo);
        }
    }

    public void OnError(Exception error) => Locked(() => _errors.Add(error));

    public Task UntilAsync(Func<Probe, bool> condition, string what) => Wait.UntilAsync(() => condition(this), $"{what}; so far {Taken.Length}: {string.Join(' ', Items.TakeLast(20))}");

    private void Locked(Action action)
    {
        lock (_gate)
        {
            action();
        }
    }

    private T Locked<T>(Func<T> read)
    {
        lock (_gate)
        {
            return read();
        }
    }
}

/// <summary>An event as it came.</summary>
public sealed record Taken(string Item, StreamSequenceToken Token, string Silo, string? Trace);
