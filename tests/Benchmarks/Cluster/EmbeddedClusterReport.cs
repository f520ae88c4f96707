using OrleansStreams.Benchmarks.Reports;

namespace OrleansStreams.Benchmarks.Cluster;

/// <summary>What this build says of clusters.</summary>
internal static class ClusterReport
{
    public static Task RunAsync(ReportOptions options)
    {
        ReportTable.Note("clusters are of the orleans build: ActorRuntime=orleans dotnet run -c Release --project tests/Benchmarks -- cluster");
        return Task.CompletedTask;
    }
}
