namespace OrleansStreams.Streaming;

/// <summary>An event, or several that were sent as a batch, as a queue holds it: one record of the topic, its bytes copied out of what was fetched.</summary>
internal sealed class StreamRecord(long offset, StreamId stream, byte[] events, byte[]? requestContext)
{
    // What the object itself takes, roughly: small events must not make a cache of bytes large.
    private const int OverheadBytes = 128;

    public long Offset => offset;

    public StreamId Stream => stream;

    /// <summary>The events in Orleans' serialization.</summary>
    public byte[] Events => events;

    /// <summary>The sender's request context in Orleans' serialization, or null.</summary>
    public byte[]? RequestContext => requestContext;

    public int Bytes => OverheadBytes + events.Length + (requestContext?.Length ?? 0) + stream.FullKey.Length;
}
