using System.Globalization;
using OrleansStreams.Log;
using OrleansStreams.Silo.Http;

namespace OrleansStreams.Silo.Hosting;

/// <summary>One limit of a silo that its settings may change (<c>limits:NAME</c>).</summary>
internal sealed record SiloLimit
{
    /// <summary>The section of settings that holds the limits.</summary>
    public const string Section = "limits";

    private const long Mebi = 1024 * 1024;

    /// <summary>All of them; the README's table says what happens at each.</summary>
    public static IReadOnlyList<SiloLimit> All { get; } =
    [
        OfPartitions("pending-bytes", Mebi, 1024 * Mebi, options => options.PendingBytesMax, (options, value) => options with { PendingBytesMax = value }),
        OfPartitions("request-batches", 1, 100_000, options => options.RequestBatchesMax, (options, value) => options with { RequestBatchesMax = (int)value }),
        OfPartitions("fetch-bytes", 1024, 256 * Mebi, options => options.FetchBytesMax, (options, value) => options with { FetchBytesMax = (int)value }),
        OfPartitions(
            "fetch-wait-ms", 0, 25_000, options => (long)options.FetchWaitMax.TotalMilliseconds, (options, value) => options with { FetchWaitMax = TimeSpan.FromMilliseconds(value) }),
        OfPartitions("topic-partitions", 1, 100_000, options => options.TopicPartitionsMax, (options, value) => options with { TopicPartitionsMax = (int)value }),
        OfPartitions("producers", 1, 1_000_000, options => options.PartitionProducersMax, (options, value) => options with { PartitionProducersMax = (int)value }),
        OfPartitions("compaction-map-bytes", 65_536, 1024 * Mebi, options => options.CompactionMapBytes, (options, value) => options with { CompactionMapBytes = value }),
        OfPartitions("compactions", 1, 64, options => options.CompactionsMax, (options, value) => options with { CompactionsMax = (int)value }),
        OfApi("http-body-bytes", 1024, 256 * Mebi, options => options.MaxBodyBytes, (options, value) => options.MaxBodyBytes = value),
        OfApi("http-batch-records", 1, 1_000_000, options => options.MaxBatchRecords, (options, value) => options.MaxBatchRecords = value),
        OfApi("http-line-bytes", 1024, 128 * Mebi, options => options.MaxLineBytes, (options, value) => options.MaxLineBytes = value),
        OfApi("http-pending-records", 1, 1_000_000, options => options.MaxPendingRecords, (options, value) => options.MaxPendingRecords = value),
        OfApi("http-fetch-records", 1, 1_000_000, options => options.MaxFetchRecords, (options, value) => options.MaxFetchRecords = value),
        OfApi("http-fetch-bytes", 1024, 256 * Mebi, options => options.MaxFetchBytes, (options, value) => options.MaxFetchBytes = value),
        OfApi("http-wait-ms", 0, 25_000, options => options.MaxWaitMs, (options, value) => options.MaxWaitMs = value),
    ];

    /// <summary>The name below <see cref="Section"/>.</summary>
    public required string Name { get; init; }

    /// <summary>The value without a setting.</summary>
    public required long Default { get; init; }

    /// <summary>The least allowed value.</summary>
    public required long Least { get; init; }

    /// <summary>The largest allowed value.</summary>
    public required long Most { get; init; }

    /// <summary>Puts a value into the partitions' options.</summary>
    public Func<StreamsOptions, long, StreamsOptions> Apply { get; private init; } = static (options, _) => options;

    /// <summary>Puts a value into the HTTP API's options.</summary>
    public Action<StreamsApiOptions, int> ApplyToApi { get; private init; } = static (_, _) => { };

    /// <summary>The limits that the settings name, by name.</summary>
    /// <exception cref="StreamsException">InvalidConfig, naming the limit, its bounds and the value.</exception>
    public static Dictionary<string, long> Read(IConfiguration configuration)
    {
        var limits = new Dictionary<string, long>(StringComparer.OrdinalIgnoreCase);
        foreach (var setting in configuration.GetSection(Section).GetChildren())
        {
            var limit = All.FirstOrDefault(limit => limit.Name.Equals(setting.Key, StringComparison.OrdinalIgnoreCase)) ?? throw new StreamsException(
                StreamsErrorCode.InvalidConfig, $"there is no limit '{setting.Key}'; there are {string.Join(", ", All.Select(limit => limit.Name))}");
            limits[limit.Name] = long.TryParse(setting.Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value >= limit.Least && value <= limit.Most
                ? value
                : throw new StreamsException(
                    StreamsErrorCode.InvalidConfig,
                    string.Create(CultureInfo.InvariantCulture, $"the setting '{Section}:{limit.Name}' is '{setting.Value}'; it must be a whole number from {limit.Least} to {limit.Most}"));
        }

        return limits;
    }

    private static SiloLimit OfPartitions(string name, long least, long most, Func<StreamsOptions, long> get, Func<StreamsOptions, long, StreamsOptions> apply) =>
        new() { Name = name, Default = get(new StreamsOptions()), Least = least, Most = most, Apply = apply };

    private static SiloLimit OfApi(string name, long least, long most, Func<StreamsApiOptions, int> get, Action<StreamsApiOptions, int> apply) =>
        new() { Name = name, Default = get(new StreamsApiOptions()), Least = least, Most = most, ApplyToApi = apply };
}
