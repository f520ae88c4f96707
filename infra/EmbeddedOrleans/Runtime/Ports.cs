namespace EmbeddedOrleans.Runtime;

/// <summary>One activation's turns, in order. A turn scheduler decides when they run, never in which order within one activation.</summary>
public interface ITurnQueue
{
    /// <summary>The activation: grain type, key and silo. The same in every run that creates the same activations in the same order.</summary>
    string Name { get; }

    /// <summary>Runs turns one after another on the calling thread.</summary>
    /// <param name="max">How many at most.</param>
    /// <returns>True when turns are left: the queue stays the scheduler's, which must call again. False when it ran empty; it then comes
    /// back through <see cref="ITurnScheduler.Schedule"/>.</returns>
    bool RunTurns(int max);
}

/// <summary>Decides when activations that have turns get a thread.</summary>
public interface ITurnScheduler
{
    /// <summary>Called when a queue goes from empty to not empty, on any thread. The scheduler must later call
    /// <see cref="ITurnQueue.RunTurns"/>, by one thread at a time, until it returns false. It must not run turns inside this call.</summary>
    void Schedule(ITurnQueue queue);
}

/// <summary>What a message carries.</summary>
public enum GrainMessageKind
{
    /// <summary>A call on its way to a grain.</summary>
    Request,

    /// <summary>A result or exception on its way back.</summary>
    Response,
}

/// <summary>A message between a caller and a grain.</summary>
public interface IGrainMessage
{
    /// <summary>Request or response.</summary>
    GrainMessageKind Kind { get; }

    /// <summary>The silo of the calling grain, or <c>client</c>.</summary>
    string Caller { get; }

    /// <summary>The silo of the called grain.</summary>
    string Callee { get; }

    /// <summary>The called grain: its type and key.</summary>
    string Grain { get; }

    /// <summary>The called method.</summary>
    string Method { get; }

    /// <summary>Whether nobody waits for a response.</summary>
    bool IsOneWay { get; }

    /// <summary>Hands the message over. Call it at most once, on any thread; a message that never arrives is lost, and its caller
    /// runs into the response timeout.</summary>
    void Arrive();
}

/// <summary>Carries messages. The default delivers at once; a simulation delays, reorders or loses.</summary>
public interface IMessageDelivery
{
    /// <summary>Takes charge of a message.</summary>
    void Deliver(IGrainMessage message);
}

/// <summary>The default: first come, first served, on the thread pool.</summary>
internal sealed class ThreadPoolTurnScheduler : ITurnScheduler
{
    public static readonly ThreadPoolTurnScheduler Instance = new();

    // The local queue is used because the caller usually awaits next and its thread is then free for the callee, its data still in
    // the cache; idle threads steal from it.
    public void Schedule(ITurnQueue queue) => ThreadPool.UnsafeQueueUserWorkItem((IThreadPoolWorkItem)queue, preferLocal: true);
}
