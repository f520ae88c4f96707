namespace OrleansStreams.Silo.Hosting;

/// <summary>The silo's own log messages.</summary>
internal static partial class SiloLog
{
    [LoggerMessage(1, LogLevel.Information, "Silo started: {Runtime} runtime, data in {Data}, HTTP API on {Urls}")]
    public static partial void Started(ILogger logger, string runtime, string data, string urls);

    [LoggerMessage(2, LogLevel.Error, "The sample application could not be started: {Reason}")]
    public static partial void SampleFailed(ILogger logger, string reason);
}
