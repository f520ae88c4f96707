namespace OrleansStreams.Benchmarks.Reports;

/// <summary>One line of a report: medians over the runs. A claim without its ratio isn't made, so a line without a raw bound has none to show.</summary>
/// <param name="Name">What was measured, with its unit.</param>
/// <param name="Ours">Our figure.</param>
/// <param name="Bound">The raw bound, measured in the same run.</param>
/// <param name="Ratio">The median of the runs' own ratios, ours to bound.</param>
/// <param name="CpuSecondsPerMillion">CPU seconds per million units, of the whole process.</param>
/// <param name="AllocatedBytesPerUnit">Managed bytes per unit.</param>
internal sealed record Measurement(
    string Name, double Ours, double? Bound = null, double? Ratio = null, double? CpuSecondsPerMillion = null, double? AllocatedBytesPerUnit = null)
{
    /// <summary>Runs ours and its bound by turns, so that both meet the same machine, and takes medians.</summary>
    /// <param name="name">What is measured.</param>
    /// <param name="runs">How often.</param>
    /// <param name="ours">Given the run's number, from 0.</param>
    /// <param name="bound">The raw bound in the same unit, or null.</param>
    public static async Task<Measurement> MedianOfAsync(string name, int runs, Func<int, Task<Cost>> ours, Func<Task<Cost>>? bound = null)
    {
        var costs = new List<Cost>(runs);
        var bounds = new List<double>(runs);
        for (var run = 0; run < runs; run++)
        {
            costs.Add(await ours(run));
            if (bound is not null)
            {
                bounds.Add((await bound()).PerSecond);
            }
        }

        return new Measurement(
            name,
            Statistics.Median(costs.Select(cost => cost.PerSecond)),
            bound is null ? null : Statistics.Median(bounds),
            bound is null ? null : Statistics.Median(costs.Zip(bounds, (cost, raw) => cost.PerSecond / raw)),
            Statistics.Median(costs.Select(cost => cost.CpuSecondsPerMillion)),
            Statistics.Median(costs.Select(cost => cost.AllocatedBytesPerUnit)));
    }

    /// <inheritdoc cref="MedianOfAsync(string, int, Func{int, Task{Cost}}, Func{Task{Cost}})"/>
    public static Task<Measurement> MedianOfAsync(string name, int runs, Func<int, Task<Cost>> ours, Func<Cost> bound) =>
        MedianOfAsync(name, runs, ours, () => Task.FromResult(bound()));
}
