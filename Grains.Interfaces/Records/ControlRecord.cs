using System.Buffers.Binary;

namespace OrleansStreams.Records;

/// <summary>
/// The records of control batches. Applications never see them; readers skip the types that they do not know.
/// <code>
///  key: version int16 = 0 | type int16        (Kafka's layout, big-endian)
/// </code>
/// Types 0 and 1 are Kafka's abort and commit markers; types from 100 on are this product's own.
/// </summary>
public static class ControlRecord
{
    /// <summary>Kafka's marker of an aborted transaction.</summary>
    public const short AbortType = 0;

    /// <summary>Kafka's marker of a committed transaction.</summary>
    public const short CommitType = 1;

    /// <summary>This product's marker of a task's progress in event time; see <see cref="WatermarkMarker"/>.</summary>
    public const short WatermarkType = 100;

    internal const int KeyBytes = 4;

    /// <summary>The type from a control record's key; false when the key is none of a control record.</summary>
    public static bool TryReadType(ReadOnlySpan<byte> key, out short type)
    {
        // A later version may append to the key, but keeps what stands here.
        var valid = key.Length >= KeyBytes && BinaryPrimitives.ReadInt16BigEndian(key) >= 0;
        type = valid ? BinaryPrimitives.ReadInt16BigEndian(key[2..]) : (short)-1;
        return valid;
    }

    internal static void WriteKey(Span<byte> key, short type)
    {
        BinaryPrimitives.WriteInt16BigEndian(key, 0);
        BinaryPrimitives.WriteInt16BigEndian(key[2..], type);
    }
}
