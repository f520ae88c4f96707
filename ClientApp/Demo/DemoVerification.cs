using OrleansStreams.Silo.Samples;

namespace OrleansStreams.ClientApp.Demo;

/// <summary>Compares a run's windows with those of one sequential pass over its input.</summary>
internal static class DemoVerification
{
    private const int DifferencesMax = 20;

    /// <summary>The differences, at most a few; empty when there are none.</summary>
    public static IReadOnlyList<string> Compare(FlightDelaysSettings run, ExternalSort<DelayWindow> windows, long late)
    {
        using var expected = new ExternalSort<DelayWindow>(WindowFile.Format, Path.Combine(run.Folder, "verify"));
        var pass = new SequentialPass(run.Partitions, run.OutOfOrderness, run.Grace, expected.Add);
        pass.Run(run.Input, ArrivalOrder.FileIn(run.Folder));

        var differences = new List<string>();
        if (pass.Late != late)
        {
            differences.Add($"late flights: {late}, the sequential pass has {pass.Late}");
        }

        using var actual = windows.Sorted().GetEnumerator();
        using var wanted = expected.Sorted().GetEnumerator();
        var hasActual = actual.MoveNext();
        var hasWanted = wanted.MoveNext();
        while ((hasActual || hasWanted) && differences.Count < DifferencesMax)
        {
            var order = !hasActual ? 1 : !hasWanted ? -1 : WindowFile.Format.Compare(actual.Current, wanted.Current);
            if (order != 0)
            {
                differences.Add(order < 0 ? $"too many: {WindowFile.LineOf(actual.Current)}" : $"missing: {WindowFile.LineOf(wanted.Current)}");
            }
            else if (WindowFile.LineOf(actual.Current) != WindowFile.LineOf(wanted.Current))
            {
                differences.Add($"different: {WindowFile.LineOf(actual.Current)}, the sequential pass has {WindowFile.LineOf(wanted.Current)}");
            }

            hasActual = order <= 0 ? actual.MoveNext() : hasActual;
            hasWanted = order >= 0 ? wanted.MoveNext() : hasWanted;
        }

        return differences;
    }
}
