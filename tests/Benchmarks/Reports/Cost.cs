using System.Diagnostics;

namespace OrleansStreams.Benchmarks.Reports;

/// <summary>What a phase of work took: the whole process is counted, so that nothing hides on another thread.</summary>
/// <param name="Units">What was done: records, bytes, calls.</param>
/// <param name="Elapsed">By the clock.</param>
/// <param name="Cpu">User and system time of all threads.</param>
/// <param name="AllocatedBytes">Managed bytes.</param>
internal readonly record struct Cost(long Units, TimeSpan Elapsed, TimeSpan Cpu, long AllocatedBytes)
{
    public double PerSecond => Units / Elapsed.TotalSeconds;

    public double CpuSecondsPerMillion => Cpu.TotalSeconds * 1e6 / Units;

    public double AllocatedBytesPerUnit => (double)AllocatedBytes / Units;

    /// <summary>Measures a phase. What an earlier phase left to the collector is collected before, so that it is not charged to this one.</summary>
    public static async Task<Cost> OfAsync(long units, Func<Task> phase)
    {
        var mark = Mark.Now();
        await phase();
        return mark.Until(units);
    }

    /// <inheritdoc cref="OfAsync"/>
    public static Cost Of(long units, Action phase)
    {
        var mark = Mark.Now();
        phase();
        return mark.Until(units);
    }

    private readonly record struct Mark(long Timestamp, TimeSpan Cpu, long AllocatedBytes)
    {
        public static Mark Now()
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            return new Mark(Stopwatch.GetTimestamp(), CpuTime(), GC.GetTotalAllocatedBytes(precise: true));
        }

        public Cost Until(long units) =>
            new(units, Stopwatch.GetElapsedTime(Timestamp), CpuTime() - Cpu, GC.GetTotalAllocatedBytes(precise: true) - AllocatedBytes);

        private static TimeSpan CpuTime()
        {
            using var process = Process.GetCurrentProcess();
            return process.TotalProcessorTime;
        }
    }
}
