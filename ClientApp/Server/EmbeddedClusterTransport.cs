using OrleansStreams.ClientApp.Commands;

namespace OrleansStreams.ClientApp.Server;

/// <summary>The way to a cluster, in the build that has none.</summary>
internal static class ClusterTransport
{
    /// <exception cref="CommandFailedException">Always.</exception>
    public static IServerTransport Open(ClusterAddress _) => throw CommandFailedException.Usage(
        "--cluster needs the build for clusters: ActorRuntime=orleans dotnet run --project ClientApp -- ...; this one reaches servers over HTTP (--server URL).");
}
