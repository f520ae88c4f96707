using OrleansStreams.Processing;
using OrleansStreams.Silo.Samples;

namespace OrleansStreams.ClientApp.Demo;

/// <summary>How the demo tells what it does.</summary>
internal interface IDemoOutput
{
    /// <summary>Before anything is done.</summary>
    void Begin(string dataPath, FlightDelaysSettings run);

    /// <summary>While it works: runs <paramref name="follow"/>, which reports status now and then.</summary>
    Task ProgressAsync(long rows, Func<Action<StreamApplicationStatus>, Task> follow);

    /// <summary>When it is done. <paramref name="differences"/> is null when nothing was verified.</summary>
    void End(DemoSummary summary, string dataPath, string? output, IReadOnlyList<string>? differences);
}
