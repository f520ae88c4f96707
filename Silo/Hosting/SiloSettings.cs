using System.Globalization;
using OrleansStreams.Errors;
using OrleansStreams.Storage;

namespace OrleansStreams.Silo.Hosting;

/// <summary>
/// A silo's settings, from appsettings.json, environment variables (with the prefix <c>STREAMS_</c>, for example <c>STREAMS_DATA</c>) and the command
/// line (<c>--data DIR</c>), the later winning.
/// </summary>
public sealed record SiloSettings
{
    /// <summary>The data folder (<c>data</c>).</summary>
    public required string DataPath { get; init; }

    /// <summary>When an acknowledged append has reached the disk (<c>flush</c>: always, interval or os).</summary>
    public FlushMode Flush { get; init; } = FlushMode.Always;

    /// <summary>Whether the sample application runs on the shipped flights (<c>sample</c>).</summary>
    public bool Sample { get; init; } = true;

    /// <summary>PostgreSQL for clustering and grain state, in the orleans build only (<c>ConnectionStrings:Streams</c>).</summary>
    public string? PostgreSql { get; init; }

    /// <summary>The Orleans cluster's id (<c>cluster-id</c>), in the orleans build only.</summary>
    public string ClusterId { get; init; } = "streams";

    /// <summary>The Orleans service's id (<c>service-id</c>), in the orleans build only.</summary>
    public string ServiceId { get; init; } = "streams";

    /// <summary>The port between silos (<c>silo-port</c>; 0: any that is free), in the orleans build only.</summary>
    public int SiloPort { get; init; } = 11111;

    /// <summary>The port for clients (<c>gateway-port</c>; 0: any that is free), in the orleans build only.</summary>
    public int GatewayPort { get; init; } = 30000;

    /// <summary>Bytes of the logs' ends that are kept in memory for readers, for all logs together.</summary>
    public long TailCacheBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>The folder of logs.</summary>
    public string LogsPath => Path.Combine(DataPath, "logs");

    /// <summary>The folder of grain state.</summary>
    public string GrainsPath => Path.Combine(DataPath, "grains");

    /// <summary>The folder that is used when none is named.</summary>
    public static string DefaultDataPath(string name)
    {
        var local = Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify);
        return Path.Combine(string.IsNullOrEmpty(local) ? Path.GetTempPath() : local, "orleans-streams", name);
    }

    /// <summary>Reads the settings.</summary>
    /// <exception cref="StreamsException">InvalidConfig, naming the setting.</exception>
    public static SiloSettings From(IConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        var data = configuration["data"];
        CheckUrls(configuration["urls"]);
        return new SiloSettings
        {
            DataPath = Path.GetFullPath(string.IsNullOrWhiteSpace(data) ? DefaultDataPath("silo") : data),
            Flush = (configuration["flush"] ?? "always") switch
            {
                "always" => FlushMode.Always,
                "interval" => FlushMode.Interval,
                "os" => FlushMode.OperatingSystem,
                var other => throw Invalid("flush", other, "always, interval or os"),
            },
            Sample = configuration["sample"] is not { Length: > 0 } sample || (bool.TryParse(sample, out var on) ? on : throw Invalid("sample", sample, "true or false")),
            PostgreSql = configuration.GetConnectionString("Streams") is { Length: > 0 } connection ? connection : null,
            ClusterId = configuration["cluster-id"] ?? "streams",
            ServiceId = configuration["service-id"] ?? "streams",
            SiloPort = Port(configuration, "silo-port", 11111),
            GatewayPort = Port(configuration, "gateway-port", 30000),
        };
    }

    /// <summary>Refuses what the server would refuse after the storage and the grains have started.</summary>
    private static void CheckUrls(string? urls)
    {
        foreach (var url in (urls ?? string.Empty).Split(';', StringSplitOptions.RemoveEmptyEntries))
        {
            try
            {
                if (BindingAddress.Parse(url) is { Port: >= 0 and < 65536, PathBase: "" })
                {
                    continue;
                }
            }
            catch (FormatException)
            {
                // Told below, with the other mistakes.
            }

            throw Invalid("urls", url, "an address like http://127.0.0.1:8080, or several with ; between them");
        }
    }

    private static int Port(IConfiguration configuration, string name, int otherwise) => configuration[name] switch
    {
        null or "" => otherwise,
        var text when int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port < 65536 => port,
        var text => throw Invalid(name, text, "a port from 1 to 65535, or 0 for any that is free"),
    };

    private static StreamsException Invalid(string name, string value, string allowed) =>
        new(StreamsErrorCode.InvalidConfig, $"the setting '{name}' is '{value}'; it must be {allowed}");
}
