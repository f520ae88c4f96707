using System.Text;

namespace OrleansStreams.Records;

/// <summary>
/// The header by which a sender names a message, so that a topic with dedup.window.ms stores it once however often it is sent. Without a record key
/// it also chooses the partition, so that every sending of it meets the partition that remembers it.
/// </summary>
public static class IdempotencyKey
{
    /// <summary>The header's name.</summary>
    public const string HeaderName = "idempotency-key";

    internal static ReadOnlySpan<byte> HeaderNameUtf8 => "idempotency-key"u8;

    /// <summary>The header that carries a key.</summary>
    /// <param name="key">The message's name: any text, the same whenever the message is sent again.</param>
    public static RecordHeader Header(string key) => new(HeaderName, Encoding.UTF8.GetBytes(key));

    /// <summary>The key among a record's headers; false when there is none, or it is null or empty.</summary>
    public static bool TryFind(IReadOnlyList<RecordHeader>? headers, out ReadOnlyMemory<byte> key)
    {
        for (var i = 0; headers is not null && i < headers.Count; i++)
        {
            if (headers[i].Key == HeaderName)
            {
                key = headers[i].Value.GetValueOrDefault();
                return !key.IsEmpty;
            }
        }

        key = default;
        return false;
    }
}
