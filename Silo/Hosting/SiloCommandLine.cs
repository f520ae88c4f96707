using System.Data.Common;
using System.Net.Sockets;

namespace OrleansStreams.Silo.Hosting;

/// <summary>What a silo says about its own command line.</summary>
internal static class SiloCommandLine
{
    private const string Help =
        """
        Starts a silo: dotnet run --project Silo -- [options]
          --urls URL            where the HTTP API listens (default http://127.0.0.1:8080)
          --data DIR            the data folder (default: a folder in the user's local application data)
          --flush MODE          always (default), interval or os: when acknowledged records have reached the disk
          --flush-interval MS   with --flush interval: how long the disk may lag behind (default 1000)
          --journal-bytes N, --tail-cache-bytes N, --open-files-max N
                                the flush journal (0: none), the logs' ends kept in memory, log files kept open
          --maintenance-ms MS   how often partitions look after retention and compaction (default 30000)
          --postgres TEXT       logs and grain state in PostgreSQL 13 or newer instead of files: Host=...;Database=...;Username=...;Password=...
                                (--ConnectionStrings:Streams TEXT means the same)
          --schema NAME         the schema there (default streams)
          --migrate on|off      whether that schema is made and brought up to date at the start (default on)
          --postgres-writers N, --postgres-readers N, --postgres-patience-ms MS
                                connections that write (4) and all others (4); how long the server may stay away before requests fail (15000)
          --guarantee WHAT      what results of applications are worth after a crash: exactly-once (default), at-least-once or at-most-once
          --commit-interval-ms MS, --state-bytes-max N
                                how often their tasks commit (default 100), and the memory that the state of one may take (default 0: no bound);
                                what an application is registered with holds before these three
          --sample BOOL         whether the sample application flight-delays runs (default true)
          --sample-rate N       the sample's flights per second, to watch it at work (default 0: as fast as it goes)
          --limits:NAME N       a limit, for example --limits:pending-bytes 67108864; the README has the table
        For ActorRuntime=orleans, where silos with one --postgres and one --cluster-id are a cluster:
          --cluster-id ID, --service-id ID
                                the cluster's and the service's name (default streams)
          --silo-port PORT, --gateway-port PORT
                                for other silos (default 11111) and for clients (default 30000); 0: any that is free
          --advertised-address ADDRESS
                                where they reach this silo (default: this machine's first address that isn't loopback)
          --probe-timeout-ms MS, --probes-missed-max N, --death-votes N
                                when a silo that doesn't answer is declared dead (default 500, 2, 1)
          --response-timeout-ms MS
                                how long a call between grains may take (default 30000)
          --rebalance-ms MS     how often silos look whether partitions, tasks and groups are evenly spread over them (default 5000; 0: never)
        Every option can be given as an environment variable too, with _ for -: STREAMS_DATA, STREAMS_URLS, STREAMS_FLUSH_INTERVAL, ...
        Settings of ASP.NET Core (--Logging:LogLevel:Default Debug, --environment NAME) work as everywhere.
        """;

    private static readonly HashSet<string> Known = new(StringComparer.OrdinalIgnoreCase)
    {
        "urls", "data", "flush", "flush-interval", "journal-bytes", "tail-cache-bytes", "open-files-max", "maintenance-ms", "postgres", "schema", "migrate",
        "postgres-writers", "postgres-readers", "postgres-patience-ms", "guarantee", "commit-interval-ms", "state-bytes-max", "sample", "sample-rate", "cluster-id", "service-id", "silo-port", "gateway-port",
        "advertised-address", "probe-timeout-ms", "probes-missed-max", "death-votes", "response-timeout-ms", "rebalance-ms", "environment", "http_ports", "https_ports",
    };

    /// <summary>
    /// What to say of an exception that stopped a start, when it is of a setting that cannot be used (a file of settings, an address, a certificate, a log level, a
    /// database); null for a fault of the program. ASP.NET Core tells these by exceptions of general types, some with a page of advice below the first line.
    /// </summary>
    public static string? MistakeInSettings(Exception error) => error switch
    {
        DbException => $"the database of ConnectionStrings:Streams cannot be used: {FirstLine(error)} Start it, or correct the connection string",
        InvalidDataException or InvalidOperationException or FormatException or ArgumentException or SocketException or IOException or UnauthorizedAccessException =>
            $"the silo cannot start: {FirstLine(error)} Correct the setting; --help lists the options",
        _ => null,
    };

    /// <summary>Null when the command line can be used; else what to print, and the exit code (0 for help, 2 for a mistake).</summary>
    public static (string Text, int ExitCode)? Usage(string[] args)
    {
        for (var i = 0; i < args.Length; i++)
        {
            if (args[i] is "--help" or "-h" or "-?")
            {
                return (Help, 0);
            }

            var option = args[i].StartsWith("--", StringComparison.Ordinal) ? args[i][2..].Split('=')[0] : null;
            if (option is null || (!Known.Contains(option) && !option.Contains(':', StringComparison.Ordinal)))
            {
                return ($"silo: unknown option '{args[i]}'; --help lists the options", 2);
            }

            if (!args[i].Contains('=', StringComparison.Ordinal) && ++i >= args.Length)
            {
                return ($"silo: --{option} needs a value", 2);
            }
        }

        return null;
    }

    private static string FirstLine(Exception error) => error.Message.Split('\n')[0].TrimEnd();
}
