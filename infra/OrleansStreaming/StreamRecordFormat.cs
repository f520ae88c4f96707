using System.Diagnostics.CodeAnalysis;
using System.Text;
using Orleans.Serialization;
using OrleansStreams.Records;

namespace OrleansStreams.Streaming;

/// <summary>The events of one record.</summary>
/// <param name="Events">In the order in which they were sent.</param>
[GenerateSerializer]
[Alias("streams.orleans-events")]
internal sealed record StreamEvents([property: Id(0)] List<object> Events);

/// <summary>
/// How a stream's event stands in a record of the topic:
/// <code>
///  key      the stream: its namespace, '/' and its key, as bytes; without a namespace its key alone. One key is one partition, so a stream keeps its order.
///  value    a StreamEvents (alias "streams.orleans-events") in Orleans' serialization: the event, or the events of an OnNextBatchAsync
///  headers  orleans-streams          "1", the version of this format; a record without it is none of ours
///           orleans-namespace        the namespace's bytes, which tell "a" / "b/c" from "a/b" / "c"; left out when there is none
///           orleans-request-context  the sender's RequestContext, a Dictionary&lt;string, object&gt; in Orleans' serialization; left out when it was empty
/// </code>
/// A record without a value is a wake-up: no event, it only says that the stream has a new subscription.
/// </summary>
internal sealed class StreamRecordFormat(Serializer serializer)
{
    public const string VersionHeader = "orleans-streams";
    public const string NamespaceHeader = "orleans-namespace";
    public const string RequestContextHeader = "orleans-request-context";

    private const byte Separator = (byte)'/';

    private static readonly byte[] s_version = "1"u8.ToArray();

    public byte[] Write(IEnumerable<object> events) => serializer.SerializeToArray(new StreamEvents([.. events]));

    public List<object> ReadEvents(byte[] value) => serializer.Deserialize<StreamEvents>(value)!.Events;

    public byte[]? WriteContext(Dictionary<string, object>? context) => context is { Count: > 0 } ? serializer.SerializeToArray(context) : null;

    public Dictionary<string, object> ReadContext(byte[] context) => serializer.Deserialize<Dictionary<string, object>>(context)!;

    public static byte[] KeyOf(StreamId stream)
    {
        if (stream.Namespace.IsEmpty)
        {
            return stream.Key.ToArray();
        }

        var key = new byte[stream.Namespace.Length + 1 + stream.Key.Length];
        stream.Namespace.Span.CopyTo(key);
        key[stream.Namespace.Length] = Separator;
        stream.Key.Span.CopyTo(key.AsSpan(stream.Namespace.Length + 1));
        return key;
    }

    public static List<RecordHeader> HeadersOf(StreamId stream, byte[]? requestContext)
    {
        var headers = new List<RecordHeader>(3) { new(VersionHeader, s_version) };
        if (!stream.Namespace.IsEmpty)
        {
            headers.Add(new RecordHeader(NamespaceHeader, stream.Namespace));
        }

        if (requestContext is not null)
        {
            headers.Add(new RecordHeader(RequestContextHeader, requestContext));
        }

        return headers;
    }

    /// <summary>Copies a record out of what was fetched; false for one that is not in this format.</summary>
    public static bool TryRead(in RecordView view, [NotNullWhen(true)] out StreamRecord? record)
    {
        ReadOnlyMemory<byte>? version = null, ns = null, context = null;
        foreach (var header in view.GetHeaders())
        {
            switch (header.Key)
            {
                case VersionHeader: version = header.Value; break;
                case NamespaceHeader: ns = header.Value; break;
                case RequestContextHeader: context = header.Value; break;
            }
        }

        record = version is { } value && value.Span.SequenceEqual(s_version) && TryReadStream(view.Key, ns.GetValueOrDefault().Span, out var stream)
            ? new StreamRecord(view.Offset, stream, view.ValueIsNull ? null : view.Value.ToArray(), context?.ToArray())
            : null;
        return record is not null;
    }

    /// <summary>A stream's name for people, in headers of dead letters and messages.</summary>
    public static string NameOf(StreamId stream) => Encoding.UTF8.GetString(KeyOf(stream));

    private static bool TryReadStream(ReadOnlySpan<byte> key, ReadOnlySpan<byte> ns, out StreamId stream)
    {
        stream = default;
        if (!ns.IsEmpty)
        {
            if (key.Length <= ns.Length || !key.StartsWith(ns) || key[ns.Length] != Separator)
            {
                return false;
            }

            key = key[(ns.Length + 1)..];
        }

        if (key.IsEmpty)
        {
            return false;
        }

        stream = StreamId.Create(ns, key);
        return true;
    }
}
