using System.CommandLine;
using OrleansStreams.ClientApp.Server;

namespace OrleansStreams.ClientApp.Commands;

/// <summary>The options that every command has which asks a server, or the silos of a cluster.</summary>
internal static class SharedOptions
{
    public const string ServerAbsent = "http://127.0.0.1:8080";

    private const string ServerVariable = "STREAMS_SERVER";
    private const string ClusterVariable = "STREAMS_CLUSTER";

    public static readonly Option<bool> Json = new("--json") { Description = "Machine-readable output.", Recursive = true };

    private static readonly Option<string> Server = new("--server")
    {
        Description = $"The server's address; the environment variable {ServerVariable} is used when this is absent, {ServerAbsent} without both.",
        HelpName = "URL",
        Recursive = true,
    };

    private static readonly Option<string> Cluster = new("--cluster")
    {
        Description = $"Instead of a server: the PostgreSQL of a cluster, Host=...;Database=...;Username=..., to call its silos as an Orleans client ({ClusterVariable}).",
        HelpName = "TEXT",
        Recursive = true,
    };

    private static readonly Option<string> ClusterId = Of("--cluster-id", "The cluster's id (STREAMS_CLUSTER_ID; streams without both).", "ID");
    private static readonly Option<string> ServiceId = Of("--service-id", "The cluster's service id (STREAMS_SERVICE_ID; streams without both).", "ID");
    private static readonly Option<string> Schema = Of("--schema", "The schema of the cluster's tables (STREAMS_SCHEMA; streams without both).", "NAME");

    /// <summary>All of them, for a command's initializer.</summary>
    public static IEnumerable<Option> All => [Server, Cluster, ClusterId, ServiceId, Schema, Json];

    public static void Add(this Command command, IEnumerable<Option> options)
    {
        foreach (var option in options)
        {
            command.Options.Add(option);
        }
    }

    /// <summary>The way to what the command line names, or else the environment: a server, or a cluster.</summary>
    /// <exception cref="CommandFailedException">Both are named, or neither can be used.</exception>
    public static IServerTransport Transport(ParseResult arguments)
    {
        var (server, cluster) = (arguments.GetValue(Server), arguments.GetValue(Cluster));
        var (by, other) = ("--server", "--cluster");
        if (server is null && cluster is null)
        {
            (server, cluster) = (Variable(ServerVariable), Variable(ClusterVariable));
            (by, other) = (ServerVariable, ClusterVariable);
        }

        if (server is not null && cluster is not null)
        {
            throw CommandFailedException.Usage($"{by} and {other} contradict each other; give one of them.");
        }

        return cluster is null ? new HttpTransport(server ?? ServerAbsent) : ClusterTransport.Open(new ClusterAddress(
            cluster,
            arguments.GetValue(ClusterId) ?? Variable("STREAMS_CLUSTER_ID") ?? "streams",
            arguments.GetValue(ServiceId) ?? Variable("STREAMS_SERVICE_ID") ?? "streams",
            arguments.GetValue(Schema) ?? Variable("STREAMS_SCHEMA") ?? "streams"));
    }

    /// <summary>Reads options of the form NAME=VALUE that may stand several times.</summary>
    public static Dictionary<string, string> Pairs(string option, string[]? texts)
    {
        var pairs = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var text in texts ?? [])
        {
            var equals = text.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0 || !pairs.TryAdd(text[..equals], text[(equals + 1)..]))
            {
                throw CommandFailedException.Usage($"{option} {text}: give NAME=VALUE, each name once.");
            }
        }

        return pairs;
    }

    private static Option<string> Of(string name, string description, string helpName) => new(name) { Description = description, HelpName = helpName, Recursive = true };

    private static string? Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;
}
