namespace OrleansStreams.Silo.Http.Requests;

/// <summary>Many grain calls for one request, a bounded number of them at a time, results in the order of the inputs.</summary>
internal static class BoundedCalls
{
    private const int AtATime = 64;

    public static async Task<TResult[]> AllAsync<TSource, TResult>(IReadOnlyList<TSource> sources, Func<TSource, Task<TResult>> call)
    {
        var results = new TResult[sources.Count];
        await Parallel.ForEachAsync(
            Enumerable.Range(0, sources.Count),
            new ParallelOptions { MaxDegreeOfParallelism = AtATime },
            async (index, _) => results[index] = await call(sources[index]));
        return results;
    }
}
