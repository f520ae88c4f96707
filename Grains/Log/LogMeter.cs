using System.Diagnostics.Metrics;

namespace OrleansStreams.Log;

/// <summary>What partitions count, per process; a meter named OrleansStreams for any listener.</summary>
internal static class LogMeter
{
    private static readonly Meter s_meter = new("OrleansStreams");

    /// <summary>Produce requests that were acknowledged.</summary>
    public static Counter<long> ProduceRequests { get; } = s_meter.CreateCounter<long>("streams.produce.requests", description: "Produce requests acknowledged.");

    /// <summary>Bytes of the record batches in them.</summary>
    public static Counter<long> ProduceBytes { get; } = s_meter.CreateCounter<long>("streams.produce.bytes", "By", "Bytes of record batches acknowledged.");

    /// <summary>Records that compaction has left out.</summary>
    public static Counter<long> CompactedRecords { get; } = s_meter.CreateCounter<long>("streams.compaction.records", description: "Records removed by compaction.");

    /// <summary>Idempotency keys that were forgotten before their window was over because there were more than dedup.keys.max.</summary>
    public static Counter<long> ForgottenKeys { get; } = s_meter.CreateCounter<long>("streams.dedup.forgotten", description: "Idempotency keys forgotten early.");

    /// <summary>Fetch requests that were answered, empty answers too.</summary>
    public static Counter<long> FetchRequests { get; } = s_meter.CreateCounter<long>("streams.fetch.requests", description: "Fetch requests answered.");

    /// <summary>Bytes of the record batches in the answers.</summary>
    public static Counter<long> FetchBytes { get; } = s_meter.CreateCounter<long>("streams.fetch.bytes", "By", "Bytes of record batches fetched.");
}
