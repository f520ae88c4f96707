namespace OrleansStreams.Storage.Files;

/// <summary>
/// Threads for blocking file calls, made when they are needed. Not the thread pool: a flush blocks for a disk's round trip, and the
/// pool's few threads are where the grains' turns run.
/// </summary>
internal sealed class FileIoQueue(string name, int threadsMax) : IDisposable
{
    private readonly object _gate = new();
    private readonly Queue<Action> _work = new();
    private int _threads;
    private int _idle;
    private bool _isStopping;

    /// <summary>Queues work, which must not throw.</summary>
    public void Enqueue(Action work)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isStopping, this);
            _work.Enqueue(work);
            if (_idle >= _work.Count)
            {
                Monitor.Pulse(_gate);
            }
            else if (_threads < threadsMax)
            {
                _threads++;

                // Turns run elsewhere; completions reach them through the awaiting caller's own scheduler.
#pragma warning disable RS0030
                new Thread(Run) { IsBackground = true, Name = $"{name}-{_threads}" }.Start();
#pragma warning restore RS0030
            }
        }
    }

    /// <summary>Runs work and gives its result; the continuation runs elsewhere.</summary>
    public Task<T> RunAsync<T>(Func<T> work)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        Enqueue(() =>
        {
            try
            {
                done.SetResult(work());
            }
            catch (Exception exception)
            {
                done.SetException(exception);
            }
        });
        return done.Task;
    }

    /// <summary>Lets the threads end once the queue is empty.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _isStopping = true;
            Monitor.PulseAll(_gate);
        }
    }

    private void Run()
    {
        while (true)
        {
            Action work;
            lock (_gate)
            {
                _idle++;
                while (_work.Count == 0)
                {
                    if (_isStopping)
                    {
                        return;
                    }

                    Monitor.Wait(_gate);
                }

                _idle--;
                work = _work.Dequeue();
            }

            work();
        }
    }
}
