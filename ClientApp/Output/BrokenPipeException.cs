namespace OrleansStreams.ClientApp.Output;

/// <summary>Nobody reads our output any more.</summary>
internal sealed class BrokenPipeException(IOException cause) : Exception(cause.Message, cause);
