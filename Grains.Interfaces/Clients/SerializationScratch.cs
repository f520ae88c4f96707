using System.Buffers;

namespace OrleansStreams.Clients;

/// <summary>A writer per thread for keys and values on their way into a batch, kept as long as it is not large.</summary>
internal static class SerializationScratch
{
    private const int FirstBytes = 4096;
    private const int KeptBytesMax = 1024 * 1024;

    [ThreadStatic]
    private static ArrayBufferWriter<byte>? t_writer;

    /// <summary>Takes it, empty. While it is out, a serializer that produces in turn gets another.</summary>
    public static ArrayBufferWriter<byte> Take()
    {
        var writer = t_writer ?? new ArrayBufferWriter<byte>(FirstBytes);
        t_writer = null;
        return writer;
    }

    /// <summary>Gives it back; what was written is no longer to be read.</summary>
    public static void Return(ArrayBufferWriter<byte> writer)
    {
        if (writer.Capacity <= KeptBytesMax)
        {
            writer.ResetWrittenCount();
            t_writer = writer;
        }
    }
}
