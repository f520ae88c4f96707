using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;

namespace EmbeddedOrleans.Runtime;

/// <summary>
/// The turns of one activation and, at the same time, the task scheduler that its code runs on: an await in grain code captures it,
/// so the continuation comes back here as a turn. The queue is the only thing that other threads touch; everything that a turn
/// changes needs no lock, because turns never overlap.
/// </summary>
internal abstract class TurnQueue : TaskScheduler, ITurnQueue, IThreadPoolWorkItem
{
    // One visit of a pool thread; then the queue goes to the back of the global queue, so that a busy grain starves nobody.
    private const int TurnsPerVisit = 128;

    [ThreadStatic]
    private static TurnQueue? t_current;

    private static readonly Action<object?> s_runBatch = static state => ((TurnQueue)state!).RunBatchBody();

    private readonly ConcurrentQueue<object> _items = new();
    private readonly ITurnScheduler _scheduler;
    private int _scheduled;
    private volatile bool _closed;
    private object? _batchFirst;
    private int _batchLeft;

    // An item that was taken from the queue one turn early. Peeking instead would keep what the queue's slots held (whole requests) alive for long after its turn.
    private object? _carried;

    protected TurnQueue(ITurnScheduler scheduler) => _scheduler = scheduler;

    /// <summary>The queue whose turn the calling thread runs, if any.</summary>
    internal static new TurnQueue? Current => t_current;

    /// <inheritdoc/>
    public abstract string Name { get; }

    internal bool IsClosed => _closed;

    public override int MaximumConcurrencyLevel => 1;

    public bool RunTurns(int max)
    {
        TurnQueue? outer = t_current;
        SynchronizationContext? context = SynchronizationContext.Current;
        if (context is not null)
        {
            // An await prefers a synchronization context to the task scheduler; grain code must come back here.
            SynchronizationContext.SetSynchronizationContext(null);
        }

        t_current = this;
        try
        {
            while (max > 0 && !_closed && TryTake(out object? item))
            {
                if (item is Task task)
                {
                    TryExecuteTask(task);
                    max--;
                }
                else
                {
                    max = RunBatch(item, max);
                }
            }
        }
        finally
        {
            t_current = outer;
            if (context is not null)
            {
                SynchronizationContext.SetSynchronizationContext(context);
            }
        }

        if (_closed)
        {
            _carried = null;
            _items.Clear();
            return false;
        }

        if (_carried is not null || !_items.IsEmpty)
        {
            return true;
        }

        // A full fence between giving the queue up and looking again: either we see the new item or its poster sees the zero.
        Interlocked.Exchange(ref _scheduled, 0);
        return !_items.IsEmpty && Interlocked.CompareExchange(ref _scheduled, 1, 0) == 0;
    }

    void IThreadPoolWorkItem.Execute()
    {
        if (RunTurns(TurnsPerVisit))
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    /// <summary>Adds a turn; on any thread. After <see cref="Close"/> it is dropped.</summary>
    internal void Post(object item)
    {
        if (_closed)
        {
            return;
        }

        _items.Enqueue(item);
        if (Interlocked.CompareExchange(ref _scheduled, 1, 0) == 0)
        {
            _scheduler.Schedule(this);
        }
    }

    /// <summary>Drops all turns, now and for ever (a crash). The turn that is running at this moment ends at its next await.</summary>
    internal void Close() => _closed = true;

    /// <summary>Runs one item that is not a task. It must not throw.</summary>
    protected abstract void RunItem(object item);

    protected sealed override void QueueTask(Task task) => Post(task);

    // As in Orleans, a continuation that becomes ready in a turn of its own activation may run at once.
    protected sealed override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) =>
        !taskWasPreviouslyQueued && t_current == this && (!_closed || task.AsyncState == this) && TryExecuteTask(task);

    protected sealed override IEnumerable<Task> GetScheduledTasks() => _items.OfType<Task>();

    // TaskScheduler.Current is this queue only inside a task, so items run inside one; one task serves all items that stand in a row.
    private int RunBatch(object first, int max)
    {
        _batchFirst = first;
        _batchLeft = max;
        new Task(s_runBatch, this, CancellationToken.None, TaskCreationOptions.DenyChildAttach).RunSynchronously(this);
        return _batchLeft;
    }

    private void RunBatchBody()
    {
        // The batch itself always runs, or whoever started it would wait for ever; its items don't once the queue is closed.
        object item = _batchFirst!;
        _batchFirst = null;
        while (!_closed)
        {
            _batchLeft--;
            RunItem(item);
            if (_batchLeft <= 0 || _closed || !_items.TryDequeue(out object? next))
            {
                return;
            }

            if (next is Task)
            {
                _carried = next;
                return;
            }

            item = next;
        }
    }

    private bool TryTake([NotNullWhen(true)] out object? item)
    {
        item = _carried;
        _carried = null;
        return item is not null || _items.TryDequeue(out item);
    }
}
