using System.Buffers.Binary;
using OrleansStreams.Records;

namespace OrleansStreams.Storage.Files;

/// <summary>
/// A small file that is replaced as a whole: the epoch, the start offset and the checkpoint of a log. All integers are big-endian.
/// <code>
///  offset size field
///       0    4 "OSST"
///       4    4 format version = 1
///       8    8 number: leader epoch, start offset, or the checkpoint's offset
///      16    4 length of the blob
///      20    4 CRC-32C of bytes 0 to 19 and of the blob
///      24    . blob: the checkpoint's, else empty
/// </code>
/// </summary>
internal static class StateFile
{
    public const string TemporarySuffix = ".tmp";

    private const uint Magic = 0x4F535354;
    private const uint Version = 1;
    private const int BlobAt = 24;

    /// <summary>The file's number and blob; null when it does not exist.</summary>
    /// <exception cref="InvalidDataException">The file is damaged: it was never written half, so its bytes rotted.</exception>
    public static (long Number, byte[] Blob)? Read(IFileSystem files, string path)
    {
        if (!files.FileExists(path))
        {
            return null;
        }

        using var file = files.Open(path, FileOpening.Read);
        var bytes = new byte[checked((int)file.Length)];
        if (file.Read(0, bytes) != bytes.Length || !TryDecode(bytes, out var number, out var blob))
        {
            throw new InvalidDataException($"the file '{path}' fails its checks");
        }

        return (number, blob);
    }

    /// <summary>Replaces the file atomically and durably: afterwards the new one is there, after any failure or crash the old or the new one.</summary>
    public static void Write(IFileSystem files, string path, long number, ReadOnlySpan<byte> blob)
    {
        var temporary = path + TemporarySuffix;
        try
        {
            using (var file = files.Open(temporary, FileOpening.Create))
            {
                file.Write(0, [Encode(number, blob)]);
                file.Flush();
            }

            files.Rename(temporary, path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            TryDelete(files, temporary);
            throw;
        }

        files.FlushDirectory(Path.GetDirectoryName(path)!);
    }

    internal static byte[] Encode(long number, ReadOnlySpan<byte> blob)
    {
        var bytes = new byte[BlobAt + blob.Length];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(4), Version);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(8), number);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(16), blob.Length);
        blob.CopyTo(bytes.AsSpan(BlobAt));
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(20), CrcOf(bytes));
        return bytes;
    }

    private static bool TryDecode(byte[] bytes, out long number, out byte[] blob)
    {
        number = 0;
        blob = [];
        if (bytes.Length < BlobAt || BinaryPrimitives.ReadUInt32BigEndian(bytes) != Magic ||
            BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(4)) != Version ||
            BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(16)) != bytes.Length - BlobAt ||
            BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(20)) != CrcOf(bytes))
        {
            return false;
        }

        number = BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan(8));
        blob = bytes[BlobAt..];
        return true;
    }

    private static uint CrcOf(byte[] bytes) => ~Crc32C.Update(Crc32C.Update(~0u, bytes.AsSpan(0, 20)), bytes.AsSpan(BlobAt));

    private static void TryDelete(IFileSystem files, string path)
    {
        try
        {
            files.DeleteFile(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // Left over; the next opening removes it.
        }
    }
}
