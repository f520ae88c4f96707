namespace OrleansStreams.Silo.Http.Problems;

/// <summary>An error with values for the problem document beside it, such as the line of the input or how many records were written.</summary>
internal sealed class RequestFailedException(StreamsException cause, IReadOnlyDictionary<string, object?> details) : Exception(cause.Message, cause)
{
    public StreamsException Cause { get; } = cause;

    public IReadOnlyDictionary<string, object?> Details { get; } = details;
}
