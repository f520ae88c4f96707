using System.Runtime.CompilerServices;

namespace EmbeddedOrleans.Runtime;

// Every awaiter is consumed exactly once, in Finish.
#pragma warning disable CA2012

/// <summary>The result of a method without one.</summary>
internal readonly struct Nothing
{
}

/// <summary>A method that returns <see cref="Task{TResult}"/>.</summary>
internal abstract class TaskRequest<T> : Request<T>
{
    private Task<T> _running = null!;

    public abstract Task<T> Call(object grain);

    internal sealed override void Start(Activation activation)
    {
        try
        {
            _running = Call(activation.GrainInstance!) ?? throw Requests.NullTask(this);
        }
        catch (Exception exception)
        {
            _running = Requests.Failed<T>(exception);
        }

        if (_running.IsCompleted)
        {
            Finish();
        }
        else
        {
            _running.GetAwaiter().UnsafeOnCompleted(Finish);
        }
    }

    private void Finish()
    {
        if (_running.IsCompletedSuccessfully)
        {
            Succeed(_running.Result);
        }
        else
        {
            Fail(_running);
        }
    }
}

/// <summary>A method that returns <see cref="Task"/>.</summary>
internal abstract class TaskRequest : Request<Nothing>
{
    private Task _running = null!;

    public abstract Task Call(object grain);

    internal sealed override void Start(Activation activation)
    {
        try
        {
            _running = Call(activation.GrainInstance!) ?? throw Requests.NullTask(this);
        }
        catch (Exception exception)
        {
            _running = Requests.Failed<Nothing>(exception);
        }

        if (_running.IsCompleted)
        {
            Finish();
        }
        else
        {
            _running.GetAwaiter().UnsafeOnCompleted(Finish);
        }
    }

    private void Finish()
    {
        if (_running.IsCompletedSuccessfully)
        {
            Succeed(default);
            return;
        }

        try
        {
            _running.GetAwaiter().GetResult();
        }
        catch (Exception exception)
        {
            Fail(Requests.Failed<Nothing>(exception));
        }
    }
}

/// <summary>A method that returns <see cref="ValueTask{TResult}"/>.</summary>
internal abstract class ValueTaskRequest<T> : Request<T>
{
    private ValueTaskAwaiter<T> _awaiter;

    public abstract ValueTask<T> Call(object grain);

    internal sealed override void Start(Activation activation)
    {
        try
        {
            _awaiter = Call(activation.GrainInstance!).GetAwaiter();
        }
        catch (Exception exception)
        {
            _awaiter = ValueTask.FromException<T>(exception).GetAwaiter();
        }

        if (_awaiter.IsCompleted)
        {
            Finish();
        }
        else
        {
            _awaiter.UnsafeOnCompleted(Finish);
        }
    }

    private void Finish()
    {
        T result;
        try
        {
            result = _awaiter.GetResult();
        }
        catch (Exception exception)
        {
            Fail(Requests.Failed<T>(exception));
            return;
        }

        Succeed(result);
    }
}

/// <summary>A method that returns <see cref="ValueTask"/>.</summary>
internal abstract class ValueTaskRequest : Request<Nothing>
{
    private ValueTaskAwaiter _awaiter;

    public abstract ValueTask Call(object grain);

    internal sealed override void Start(Activation activation)
    {
        try
        {
            _awaiter = Call(activation.GrainInstance!).GetAwaiter();
        }
        catch (Exception exception)
        {
            _awaiter = ValueTask.FromException(exception).GetAwaiter();
        }

        if (_awaiter.IsCompleted)
        {
            Finish();
        }
        else
        {
            _awaiter.UnsafeOnCompleted(Finish);
        }
    }

    private void Finish()
    {
        try
        {
            _awaiter.GetResult();
        }
        catch (Exception exception)
        {
            Fail(Requests.Failed<Nothing>(exception));
            return;
        }

        Succeed(default);
    }
}

/// <summary>What the kinds of request share.</summary>
internal static class Requests
{
    internal static InvalidOperationException NullTask(Request request) => new($"{request} returned null in place of a task.");

    /// <summary>A failed task from an exception that was caught; a cancellation stays one, with its exception object.</summary>
    internal static Task<T> Failed<T>(Exception exception)
    {
        AsyncTaskMethodBuilder<T> builder = AsyncTaskMethodBuilder<T>.Create();
        Task<T> task = builder.Task;
        builder.SetException(exception);
        return task;
    }
}
