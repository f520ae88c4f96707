namespace OrleansStreams.Storage.Postgres;

/// <summary>Runs work on the thread pool: a database call that a grain awaits takes no turn of the grain for its own steps, and outlives the activation.</summary>
internal static class Detached
{
    // The one place where this storage leaves the caller's scheduler; the caller's await goes back to it.
#pragma warning disable RS0030
    public static Task<T> RunAsync<T>(Func<Task<T>> work) => Task.Run(work);

    public static Task RunAsync(Func<Task> work) => Task.Run(work);
#pragma warning restore RS0030
}
