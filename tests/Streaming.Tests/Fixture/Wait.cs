using System.Diagnostics;

namespace OrleansStreams.Streaming.Fixture;

internal static class Wait
{
    public static Task UntilAsync(Func<bool> condition, string what) => UntilAsync(() => Task.FromResult(condition()), what);

    public static async Task UntilAsync(Func<Task<bool>> condition, string what)
    {
        var began = Stopwatch.StartNew();
        while (!await condition())
        {
            if (began.Elapsed > TimeSpan.FromSeconds(45))
            {
                throw new TimeoutException($"never came: {what}");
            }

            await Task.Delay(20);
        }
    }
}
