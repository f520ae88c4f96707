namespace OrleansStreams.Errors;

/// <summary>Whose fault an error is.</summary>
public enum ErrorFault
{
    /// <summary>The caller's: changing the request helps, repeating it does not.</summary>
    User,

    /// <summary>A dependency's (disk, database, network, another silo): repeating may help.</summary>
    Dependency,

    /// <summary>This product's.</summary>
    Internal,
}

/// <summary>What a failed write left behind.</summary>
[GenerateSerializer]
[Alias("streams.write-outcome")]
public enum WriteOutcome
{
    /// <summary>The operation does not write.</summary>
    NotAWrite,

    /// <summary>Nothing was written.</summary>
    NotWritten,

    /// <summary>It was written.</summary>
    Written,

    /// <summary>It may or may not have been written; an idempotent retry finds out.</summary>
    Unknown,
}

/// <summary>The one exception of this product: a stable code, a message that says what to do, and what a failed write left behind.</summary>
[GenerateSerializer]
[Alias("streams.exception")]
public sealed class StreamsException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="code">The stable code.</param>
    /// <param name="message">What is wrong and what to do about it.</param>
    /// <param name="outcome">For writes: what is known of the write.</param>
    /// <param name="inner">The cause, if any.</param>
    public StreamsException(StreamsErrorCode code, string message, WriteOutcome outcome = WriteOutcome.NotAWrite, Exception? inner = null)
        : base(message, inner)
    {
        Code = code;
        Outcome = outcome;
    }

    /// <summary>The stable code.</summary>
    [Id(0)]
    public StreamsErrorCode Code { get; }

    /// <summary>For writes: what is known of the write.</summary>
    [Id(1)]
    public WriteOutcome Outcome { get; }

    /// <summary>Whether the same request may succeed later.</summary>
    public bool IsRetriable => ErrorTable.IsRetriable(Code);

    /// <summary>Whose fault it is.</summary>
    public ErrorFault Fault => ErrorTable.FaultOf(Code);
}
