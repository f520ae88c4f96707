using System.Buffers.Binary;
using System.Text;

namespace OrleansStreams.Processing;

/// <summary>
/// Where the next page of a store begins. It names the application that answered: under an alias the next one may be another, whose rows are not to be mixed with the first one's.
/// <code>
///  length of the name uint16 | application's name, UTF-8 | window start int64 | window end int64 | key, all that follows
/// </code>
/// </summary>
internal static class StoreContinuation
{
    private const int WindowBytes = 16;

    /// <summary>The page behind a position.</summary>
    public static ReadOnlyMemory<byte> Behind(string application, ReadOnlySpan<byte> key, long windowStartMs, long windowEndMs)
    {
        var name = Encoding.UTF8.GetBytes(application);
        var bytes = new byte[2 + name.Length + WindowBytes + key.Length];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)name.Length);
        name.CopyTo(bytes, 2);
        WritePosition(bytes.AsSpan(2 + name.Length), key, windowStartMs, windowEndMs);
        return bytes;
    }

    /// <summary>The application, and the position alone.</summary>
    /// <exception cref="StreamsException">InvalidRequest for what is no continuation.</exception>
    public static (string Application, ReadOnlyMemory<byte> Position) Read(ReadOnlyMemory<byte> continuation)
    {
        var length = continuation.Length < 2 ? int.MaxValue : BinaryPrimitives.ReadUInt16LittleEndian(continuation.Span);
        return continuation.Length - 2 - WindowBytes >= length
            ? (Encoding.UTF8.GetString(continuation.Span.Slice(2, length)), continuation[(2 + length)..])
            : throw new StreamsException(StreamsErrorCode.InvalidRequest, "The continuation is none that a query answered: give back that of the page before, or leave it out to begin anew.");
    }

    /// <summary>Writes a position without the application, which a task's pages go on behind.</summary>
    public static void WritePosition(Span<byte> to, ReadOnlySpan<byte> key, long windowStartMs, long windowEndMs)
    {
        BinaryPrimitives.WriteInt64LittleEndian(to, windowStartMs);
        BinaryPrimitives.WriteInt64LittleEndian(to[8..], windowEndMs);
        key.CopyTo(to[WindowBytes..]);
    }
}
