namespace OrleansStreams.Streaming;

/// <summary>An event, or several that were sent as a batch, as a queue holds it: one record of the topic, its bytes copied out of what was fetched.</summary>
internal sealed class StreamRecord(long offset, StreamId stream, byte[]? events, byte[]? requestContext)
{
    // What the object itself takes, roughly: small events must not make a cache of bytes large.
    private const int OverheadBytes = 128;

    public long Offset => offset;

    public StreamId Stream => stream;

    /// <summary>Whether it is no event but a wake-up of its stream's agent, which nobody is given.</summary>
    public bool IsWakeUp => events is null;

    /// <summary>The events in Orleans' serialization; empty for a wake-up.</summary>
    public byte[] Events => events ?? [];

    /// <summary>The sender's request context in Orleans' serialization, or null.</summary>
    public byte[]? RequestContext => requestContext;

    public int Bytes => OverheadBytes + Events.Length + (requestContext?.Length ?? 0) + stream.FullKey.Length;
}
