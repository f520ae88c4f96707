namespace OrleansStreams.Tests.Storage;

/// <summary>Holds the flushes of a file until it is opened.</summary>
internal sealed class FlushGate : IDisposable
{
    private readonly TaskCompletionSource _entered = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ManualResetEventSlim _open = new();

    public FlushGate(SimulatedDisk disk, string path) => disk.BeforeFlush = flushed =>
    {
        if (flushed == path)
        {
            _entered.TrySetResult();
            _open.Wait(TimeSpan.FromSeconds(60)).ShouldBeTrue("the gate was never opened");
        }
    };

    public Task Entered => _entered.Task.WaitAsync(TimeSpan.FromSeconds(60));

    public void Open() => _open.Set();

    public void Dispose() => _open.Set();
}
