namespace OrleansStreams.Records;

/// <summary>A serializer of values that are their own bytes: a producer copies them straight into the batch, past the writer.</summary>
internal interface IRawSerializer<in T>
{
    /// <summary>The value's bytes, in place.</summary>
    ReadOnlySpan<byte> BytesOf(T value);
}
