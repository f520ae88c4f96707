using System.Globalization;
using OrleansStreams.Errors;
using OrleansStreams.Processing;
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

    /// <summary>How long after an acknowledgement the disk has it at most, with <see cref="FlushMode.Interval"/> (<c>flush-interval</c>: 1 to 3600000 ms).</summary>
    public TimeSpan FlushInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Bytes of the logs' ends kept in memory for readers, all logs together (<c>tail-cache-bytes</c>).</summary>
    public long TailCacheBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>The size of the flush journal, which makes appends of all logs durable together (<c>journal-bytes</c>; 0: none).</summary>
    public long JournalBytes { get; init; } = 128L * 1024 * 1024;

    /// <summary>Log files kept open at most (<c>open-files-max</c>).</summary>
    public int OpenFilesMax { get; init; } = 1024;

    /// <summary>How often partitions look after retention and compaction (<c>maintenance-ms</c>: 50 to 3600000).</summary>
    public TimeSpan MaintenanceInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>What results of applications are worth after a crash, unless they say otherwise (<c>guarantee</c>: exactly-once, at-least-once, at-most-once).</summary>
    public ProcessingGuarantee Guarantee { get; init; }

    /// <summary>How long tasks collect changes before they commit them, unless their application says otherwise (<c>commit-interval-ms</c>: 0 to 3600000).</summary>
    public TimeSpan CommitInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>The memory, in bytes, that the state of one task may take, unless its application says otherwise (<c>state-bytes-max</c>: 1048576 or more; 0: no bound).</summary>
    public long StateBytesMax { get; init; } = long.MaxValue;

    /// <summary>Whether the sample application runs on the shipped flights (<c>sample</c>).</summary>
    public bool Sample { get; init; } = true;

    /// <summary>Flights per second at which the sample's input comes in (<c>sample-rate</c>), 0 for as fast as it goes. Holds when the sample is first started.</summary>
    public double SampleRate { get; init; }

    /// <summary>
    /// PostgreSQL for logs and grain state (<c>postgres</c>, or <c>ConnectionStrings:Streams</c>), in the orleans build for clustering too; null for files.
    /// </summary>
    public string? PostgreSql { get; init; }

    /// <summary>The schema of the logs in that database (<c>schema</c>).</summary>
    public string PostgreSqlSchema { get; init; } = "streams";

    /// <summary>Connections that write at the same time (<c>postgres-writers</c>).</summary>
    public int PostgreSqlWriters { get; init; } = 4;

    /// <summary>Connections for reads and all else (<c>postgres-readers</c>).</summary>
    public int PostgreSqlReaders { get; init; } = 4;

    /// <summary>How long the server may stay away before an operation fails (<c>postgres-patience-ms</c>).</summary>
    public TimeSpan PostgreSqlPatience { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Whether that schema is made and brought to this version at the start (<c>migrate</c>: on or off).</summary>
    public bool Migrate { get; init; } = true;

    /// <summary>What makes this silo a member of a cluster, in the orleans build only.</summary>
    public ClusterSettings Cluster { get; init; } = new();

    /// <summary>Limits that differ from their defaults, by name (<c>limits:NAME</c>; the README has the table).</summary>
    public IReadOnlyDictionary<string, long> Limits { get; init; } = new Dictionary<string, long>();

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
        var postgres = new[] { configuration["postgres"], configuration.GetConnectionString("Streams") }.FirstOrDefault(text => !string.IsNullOrWhiteSpace(text));
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
            FlushInterval = TimeSpan.FromMilliseconds(Number(configuration, "flush-interval", 1_000, 1, 3_600_000)),
            TailCacheBytes = Number(configuration, "tail-cache-bytes", 64L * 1024 * 1024, 0, 1L << 40),
            JournalBytes = Number(configuration, "journal-bytes", 128L * 1024 * 1024, 0, 1L << 36),
            MaintenanceInterval = TimeSpan.FromMilliseconds(Number(configuration, "maintenance-ms", 30_000, 50, 3_600_000)),
            OpenFilesMax = (int)Number(configuration, "open-files-max", 1024, 1, 1_000_000),
            Guarantee = (configuration["guarantee"] ?? "exactly-once") switch
            {
                "exactly-once" => ProcessingGuarantee.ExactlyOnce,
                "at-least-once" => ProcessingGuarantee.AtLeastOnce,
                "at-most-once" => ProcessingGuarantee.AtMostOnce,
                var other => throw Invalid("guarantee", other, "exactly-once, at-least-once or at-most-once"),
            },
            CommitInterval = TimeSpan.FromMilliseconds(Number(configuration, "commit-interval-ms", 100, 0, 3_600_000)),
            StateBytesMax = StateBytes(configuration),
            Sample = configuration["sample"] is not { Length: > 0 } sample || (bool.TryParse(sample, out var on) ? on : throw Invalid("sample", sample, "true or false")),
            SampleRate = Number(configuration, "sample-rate", 0, 0, 1_000_000_000),
            PostgreSql = postgres,
            PostgreSqlSchema = configuration["schema"] is { Length: > 0 } schema ? schema : "streams",
            PostgreSqlWriters = (int)Number(configuration, "postgres-writers", 4, 1, 64),
            PostgreSqlReaders = (int)Number(configuration, "postgres-readers", 4, 1, 64),
            PostgreSqlPatience = TimeSpan.FromMilliseconds(Number(configuration, "postgres-patience-ms", 15_000, 100, 600_000)),
            Migrate = (configuration["migrate"] ?? "on") switch
            {
                "on" => true,
                "off" => false,
                var other => throw Invalid("migrate", other, "on or off"),
            },
            Cluster = ClusterSettings.From(configuration, postgres is not null),
            Limits = SiloLimit.Read(configuration),
        };
    }

    /// <summary>Refuses what the server would refuse after the storage and the grains have started.</summary>
    /// <exception cref="StreamsException">InvalidConfig.</exception>
    internal static void CheckUrls(string? urls)
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

    internal static long Number(IConfiguration configuration, string name, long otherwise, long min, long max) => configuration[name] switch
    {
        null or "" => otherwise,
        var text when long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= min && number <= max => number,
        var text => throw Invalid(name, text, string.Create(CultureInfo.InvariantCulture, $"a number from {min} to {max}")),
    };

    private static long StateBytes(IConfiguration configuration)
    {
        const string Name = "state-bytes-max";
        return Number(configuration, Name, 0, 0, long.MaxValue) switch
        {
            0 => long.MaxValue,
            < 1024 * 1024 => throw Invalid(Name, configuration[Name]!, "a number of 1048576 or more, or 0 for no bound"),
            var bytes => bytes,
        };
    }

    internal static StreamsException Invalid(string name, string value, string allowed) =>
        new(StreamsErrorCode.InvalidConfig, $"the setting '{name}' is '{value}'; it must be {allowed}");
}
