using System.Collections;

namespace OrleansStreams.Records;

/// <summary>A record's headers in place, decoded when somebody first looks at them; most consumers never do. Keeps the batch's memory alive.</summary>
internal sealed class LazyHeaders(ReadOnlyMemory<byte> records, int at, int count) : IReadOnlyList<RecordHeader>
{
    // Threads may race to decode: the arrays are equal, and a reference is written at once.
    private RecordHeader[]? _headers;

    public int Count => count;

    public RecordHeader this[int index] => Decoded[index];

    private RecordHeader[] Decoded => _headers ??= RecordView.DecodeHeaders(records, at, count);

    public IEnumerator<RecordHeader> GetEnumerator() => ((IEnumerable<RecordHeader>)Decoded).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
