using System.Text.Json.Serialization;
using OrleansStreams.Records;

namespace OrleansStreams.Silo.Http.Records;

/// <summary>A record to produce, as bytes. A null key or value is told apart from an empty one.</summary>
internal readonly record struct RecordItem(
    byte[]? Key, byte[]? Value, IReadOnlyList<RecordHeader> Headers, int? Partition, long? Timestamp);

/// <summary>Where a record stands now; offset -1 when acks=none, since nobody waited for it.</summary>
internal readonly record struct DeliveryBody(int Partition, long Offset, long Timestamp)
{
    /// <summary>True when nothing was stored because a record with its idempotency key is there: offset and timestamp are that one's. Left out else.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool Duplicate { get; init; }
}

/// <summary>What became of a streamed body.</summary>
internal sealed record StreamedDeliveryBody(long Records, IReadOnlyList<StreamedPartitionBody> Partitions)
{
    /// <summary>How many of the records were not stored because their idempotency keys were known. Left out when there are none.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public long Duplicates { get; init; }
}

/// <summary>What a streamed body wrote to a partition; offsets are -1 when acks=none.</summary>
internal sealed record StreamedPartitionBody(int Partition, long Records, long FirstOffset, long LastOffset);
