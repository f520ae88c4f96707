using OrleansStreams.Records;

namespace OrleansStreams.Processing.Tables;

/// <summary>The bytes by which a step's stores know a key: those of the source's record as long as the key is the source's, which spares writing it again.</summary>
internal sealed class KeyBytes<TKey>(ISerializer<TKey> serializer, bool keepsKey)
{
    private readonly ByteBuffer _buffer = new();

    /// <summary>The key's bytes, good until the next call.</summary>
    /// <exception cref="StreamsException">InvalidInput for a null key.</exception>
    public ReadOnlySpan<byte> Of(in RecordView raw, TKey key)
    {
        if (keepsKey && raw.IsPresent)
        {
            return raw.KeyIsNull ? throw NullKey() : raw.Key;
        }

        if (key is null)
        {
            throw NullKey();
        }

        _buffer.Clear();
        serializer.Serialize(key, _buffer);
        return _buffer.Span;
    }

    private static StreamsException NullKey() => new(
        StreamsErrorCode.InvalidInput, "A record with a null key belongs to no group and to no table: drop such records before with .Filter((key, _) => key is not null).");
}
