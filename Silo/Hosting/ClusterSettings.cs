using System.Globalization;
using System.Net;
using System.Net.Sockets;
using OrleansStreams.Errors;

namespace OrleansStreams.Silo.Hosting;

/// <summary>
/// What makes a silo a member of a cluster, in the orleans build. The embedded build reads it too, so that a mistake is told in both, and refuses what only a
/// cluster can do.
/// </summary>
public sealed record ClusterSettings
{
    /// <summary>The Orleans cluster's id (<c>cluster-id</c>): silos and clients of one id find each other.</summary>
    public string ClusterId { get; init; } = "streams";

    /// <summary>The Orleans service's id (<c>service-id</c>): the same over all clusters and deployments of one service.</summary>
    public string ServiceId { get; init; } = "streams";

    /// <summary>The port between silos (<c>silo-port</c>; 0: any that is free).</summary>
    public int SiloPort { get; init; } = 11111;

    /// <summary>The port for clients (<c>gateway-port</c>; 0: any that is free).</summary>
    public int GatewayPort { get; init; } = 30000;

    /// <summary>
    /// The address at which other silos and clients reach this one (<c>advertised-address</c>: an IP address, or a host name that is looked up once, at the start);
    /// null for the first address of this machine that isn't loopback.
    /// </summary>
    public IPAddress? AdvertisedAddress { get; init; }

    // Membership's defaults are for clusters of hundreds of machines over many racks: 3 missed probes of 5 s and two votes, 10 to 16 s until a killed silo's
    // grains may live elsewhere. Here 2 missed probes of 0.5 s, and one vote: a killed process refuses connections, which a probe sees at once, so that it is
    // declared dead after 0.5 to 1 s; one that hangs after 1 to 1.5 s. What a false alarm costs is small: the accused silo stops itself, its partitions open
    // elsewhere under a new leader epoch and no acknowledged record depends on who was right. The second probe goes by way of a third silo when there is one, and a
    // silo in bad health (slow thread pool, long collections) waits longer before it accuses another, so one bad link or a pause of one's own convicts nobody.

    /// <summary>How often silos probe each other, and how long a probe may take (<c>probe-timeout-ms</c>: 50 to 60000).</summary>
    public TimeSpan ProbeTimeout { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Probes missed in a row before a silo is accused (<c>probes-missed-max</c>: 1 to 100).</summary>
    public int ProbesMissedMax { get; init; } = 2;

    /// <summary>Accusers that it takes to declare a silo dead (<c>death-votes</c>: 1 to 10; never more than half of the cluster).</summary>
    public int DeathVotes { get; init; } = 1;

    /// <summary>How long a call between grains may take (<c>response-timeout-ms</c>: 1000 to 600000). Calls to a silo that dies end when it is declared dead.</summary>
    public TimeSpan ResponseTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How often the silos look whether partitions, tasks and groups are evenly spread (<c>rebalance-ms</c>: 100 to 600000; 0: never). What a silo that came or went
    /// changes is moved at the third look.
    /// </summary>
    public TimeSpan RebalanceInterval { get; init; } = TimeSpan.FromSeconds(5);

    internal static ClusterSettings From(IConfiguration configuration, bool hasDatabase)
    {
        var settings = new ClusterSettings
        {
            ClusterId = Id(configuration, "cluster-id"),
            ServiceId = Id(configuration, "service-id"),
            SiloPort = Port(configuration, "silo-port", 11111),
            GatewayPort = Port(configuration, "gateway-port", 30000),
            AdvertisedAddress = Address(configuration, hasDatabase),
            ProbeTimeout = TimeSpan.FromMilliseconds(SiloSettings.Number(configuration, "probe-timeout-ms", 500, 50, 60_000)),
            ProbesMissedMax = (int)SiloSettings.Number(configuration, "probes-missed-max", 2, 1, 100),
            DeathVotes = (int)SiloSettings.Number(configuration, "death-votes", 1, 1, 10),
            ResponseTimeout = TimeSpan.FromMilliseconds(SiloSettings.Number(configuration, "response-timeout-ms", 30_000, 1_000, 600_000)),
            RebalanceInterval = Rebalance(configuration),
        };
        if (settings.SiloPort == settings.GatewayPort && settings.SiloPort != 0)
        {
            throw SiloSettings.Invalid("gateway-port", settings.GatewayPort.ToString(CultureInfo.InvariantCulture), "another port than the setting 'silo-port'");
        }

        return settings;
    }

    private static TimeSpan Rebalance(IConfiguration configuration)
    {
        const string name = "rebalance-ms";
        var ms = SiloSettings.Number(configuration, name, 5_000, 0, 600_000);
        return ms is 0 or >= 100 ? TimeSpan.FromMilliseconds(ms) : throw SiloSettings.Invalid(name, configuration[name]!, "a number from 100 to 600000, or 0 for never");
    }

    private static string Id(IConfiguration configuration, string name) => configuration[name] switch
    {
        null => "streams",
        { Length: > 0 and <= 150 } id when !string.IsNullOrWhiteSpace(id) => id,
        var other => throw SiloSettings.Invalid(name, other, "a name of 1 to 150 characters"),
    };

    private static int Port(IConfiguration configuration, string name, int otherwise) => configuration[name] switch
    {
        null or "" => otherwise,
        var text when int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port < 65536 => port,
        var text => throw SiloSettings.Invalid(name, text, "a port from 1 to 65535, or 0 for any that is free"),
    };

    private static IPAddress? Address(IConfiguration configuration, bool hasDatabase)
    {
        const string name = "advertised-address";
        if (configuration[name] is not { Length: > 0 } text)
        {
            return null;
        }

        if (ActorRuntimeHosting.IsSingleProcess)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidConfig, $"the setting '{name}' is for a silo of a cluster, and this is the embedded build, for one process: build with ActorRuntime=orleans, or remove it");
        }

        if (!hasDatabase)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidConfig,
                $"the setting '{name}' is for a silo of a cluster, and files are for one silo: name the cluster's database with --postgres \"Host=...;Database=...;Username=...;Password=...\", or remove it");
        }

        var address = IPAddress.TryParse(text, out var parsed) ? parsed : LookUp(name, text);
        return !IPAddress.Any.Equals(address) && !IPAddress.IPv6Any.Equals(address)
            ? address
            : throw SiloSettings.Invalid(name, text, "an address at which other silos reach this one, and not the one that means all of this machine's");
    }

    private static IPAddress LookUp(string name, string host)
    {
        try
        {
            // The family that Orleans takes for its own choice comes first.
            return Dns.GetHostAddresses(host).OrderBy(address => address.AddressFamily == AddressFamily.InterNetwork ? 0 : 1).First();
        }
        catch (Exception error) when (error is SocketException or ArgumentException or InvalidOperationException)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidConfig, $"the setting '{name}' is '{host}', which is no IP address and no host name that can be looked up: {error.Message}; name this machine's address", inner: error);
        }
    }
}
