using Microsoft.Extensions.Logging;

namespace EmbeddedOrleans.Runtime;

/// <summary>The host's log events.</summary>
internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Warning, "One-way call {Grain}.{Method} failed")]
    internal static partial void OneWayCallFailed(ILogger logger, Exception exception, string grain, string method);

    [LoggerMessage(2, LogLevel.Warning, "Grain {Grain} could not be activated")]
    internal static partial void ActivationFailed(ILogger logger, Exception exception, string grain);

    [LoggerMessage(3, LogLevel.Error, "Grain {Grain} failed while it was deactivated")]
    internal static partial void DeactivationFailed(ILogger logger, Exception exception, string grain);

    [LoggerMessage(4, LogLevel.Error, "A timer of grain {Grain} failed; it goes on")]
    internal static partial void TimerFailed(ILogger logger, Exception exception, string grain);

    [LoggerMessage(5, LogLevel.Debug, "Grain {Grain} was deactivated: {Reason}")]
    internal static partial void Deactivated(ILogger logger, string grain, string reason);

    [LoggerMessage(6, LogLevel.Critical, "The embedded host failed in a turn of grain {Grain}")]
    internal static partial void TurnFailed(ILogger logger, Exception exception, string grain);

    [LoggerMessage(7, LogLevel.Warning, "Silo {Silo} was stopped with {Count} grains still busy; they were dropped")]
    internal static partial void StoppedBusy(ILogger logger, string silo, int count);

    [LoggerMessage(8, LogLevel.Information, "Silo {Silo} runs on the embedded host")]
    internal static partial void SiloStarted(ILogger logger, string silo);

    [LoggerMessage(9, LogLevel.Information, "Silo {Silo} stopped; {Count} grains were deactivated")]
    internal static partial void SiloStopped(ILogger logger, string silo, int count);
}
