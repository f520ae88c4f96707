namespace OrleansStreams.Records;

/// <summary>A record header: a name and an opaque value.</summary>
/// <param name="Key">The name.</param>
/// <param name="Value">The value; null is told apart from empty.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.record-header")]
public readonly record struct RecordHeader([property: Id(0)] string Key, [property: Id(1)] ReadOnlyMemory<byte>? Value);
