using System.Text.RegularExpressions;
using Npgsql;
using OrleansStreams.Errors;

namespace OrleansStreams.Cluster;

/// <summary>Which cluster a client belongs to, and how patient it is. Cluster id, service id and schema are those of the silos.</summary>
public sealed partial class StreamsClusterClientOptions
{
    /// <summary>The cluster's PostgreSQL, which knows the silos: <c>Host=...;Database=...;Username=...;Password=...</c>. Reading rights on the schema are enough.</summary>
    public string? ConnectionString { get; set; }

    /// <summary>The schema of the cluster's tables there: 1 to 63 of [a-z0-9_], no digit first.</summary>
    public string Schema { get; set; } = "streams";

    /// <summary>The Orleans cluster's id.</summary>
    public string ClusterId { get; set; } = "streams";

    /// <summary>The Orleans service's id.</summary>
    public string ServiceId { get; set; } = "streams";

    /// <summary>
    /// How long a call may take that nothing is known to be wrong with, 5 s to 10 min. It is as long as in Orleans itself, because a consumer's long poll may take 20 s and
    /// an append waits 15 s for a PostgreSQL that restarts. It is not what a failover waits for: calls under way when a silo or gateway is lost are given up
    /// within <see cref="GatewayListRefreshPeriod"/> and tried again, long before.
    /// </summary>
    public TimeSpan ResponseTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How often the list of living silos is read, 100 ms to 1 min. A killed silo is noticed at once by its closed connection; one that hangs, or that this
    /// client has no connection to, when the others have declared it dead and the list is read next: so 1 s, one small query a second, where Orleans has a minute.
    /// </summary>
    public TimeSpan GatewayListRefreshPeriod { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>How long the start waits for a cluster that does not answer yet, 0 to 1 h: services may start before the silos.</summary>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(60);

    /// <summary>What to connect with: the schema as search path, because Orleans' own statements name none.</summary>
    /// <exception cref="StreamsException">InvalidConfig: one sentence for the first mistake, naming the setting.</exception>
    internal NpgsqlConnectionStringBuilder Validate()
    {
        if (string.IsNullOrWhiteSpace(ConnectionString))
        {
            throw Invalid("the cluster's PostgreSQL is not named; set ConnectionStrings:Streams (environment variable ConnectionStrings__Streams) to \"Host=...;Database=...;Username=...\"");
        }

        var connection = Parse(ConnectionString);
        Check(!string.IsNullOrWhiteSpace(connection.Host), "ConnectionStrings:Streams names no Host; it looks like \"Host=...;Database=...;Username=...\"");
        Check(SchemaName().IsMatch(Schema), $"the schema is '{Schema}'; it must be 1 to 63 of a-z, 0-9 and _, no digit first");
        Check(!string.IsNullOrWhiteSpace(ClusterId), "the cluster id is blank; give the silos' cluster-id");
        Check(!string.IsNullOrWhiteSpace(ServiceId), "the service id is blank; give the silos' service-id");
        Between(nameof(ResponseTimeout), ResponseTimeout, TimeSpan.FromSeconds(5), TimeSpan.FromMinutes(10));
        Between(nameof(GatewayListRefreshPeriod), GatewayListRefreshPeriod, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(1));
        Between(nameof(ConnectTimeout), ConnectTimeout, TimeSpan.Zero, TimeSpan.FromHours(1));
        connection.SearchPath = Schema;
        return connection;
    }

    private static NpgsqlConnectionStringBuilder Parse(string text)
    {
        try
        {
            return new NpgsqlConnectionStringBuilder(text);
        }
        catch (Exception error) when (error is ArgumentException or FormatException or KeyNotFoundException)
        {
            throw Invalid($"ConnectionStrings:Streams is not a connection string of PostgreSQL: {error.Message.Split('\n')[0].TrimEnd()} It looks like \"Host=...;Database=...;Username=...\"");
        }
    }

    private static void Between(string name, TimeSpan value, TimeSpan least, TimeSpan most) => Check(value >= least && value <= most, $"{name} is {value}; it must be from {least} to {most}");

    private static void Check(bool ok, string mistake)
    {
        if (!ok)
        {
            throw Invalid(mistake);
        }
    }

    private static StreamsException Invalid(string mistake) => new(StreamsErrorCode.InvalidConfig, mistake);

    [GeneratedRegex("^[a-z_][a-z0-9_]{0,62}$", RegexOptions.CultureInvariant)]
    private static partial Regex SchemaName();
}
