using System.Globalization;
using FsCheck;
using FsCheck.Fluent;

namespace OrleansStreams;

/// <summary>
/// How often properties are tried. <c>STREAMS_PROPERTY_RUNS=n</c> tries each n times, with other cases every time: a soak. <c>STREAMS_PROPERTY_REPLAY=seed,gamma,size</c> runs again
/// the case that a failure has told; choose its test by a filter.
/// </summary>
internal static class PropertyRuns
{
    /// <summary>Whether the cases are not those of <see cref="OfSeed"/>.</summary>
    public static bool IsOther => Soak is not null || Replay is not null;

    private static string? Soak => Environment.GetEnvironmentVariable("STREAMS_PROPERTY_RUNS") is { Length: > 0 } runs ? runs : null;

    private static string? Replay => Environment.GetEnvironmentVariable("STREAMS_PROPERTY_REPLAY") is { Length: > 0 } replay ? replay : null;

    public static Config Of(int runs)
    {
        var config = Config.QuickThrowOnFailure.WithMaxTest(Soak is { } soak ? int.Parse(soak, CultureInfo.InvariantCulture) : runs);
        return Replay?.Split(',') is [var seed, var gamma, var size]
            ? config.WithReplay(ulong.Parse(seed, CultureInfo.InvariantCulture), ulong.Parse(gamma, CultureInfo.InvariantCulture), int.Parse(size, CultureInfo.InvariantCulture))
            : config;
    }

    /// <summary>The same cases in every run but soaks, so that what they reach can be asserted.</summary>
    public static Config OfSeed(int runs, ulong seed) => IsOther ? Of(runs) : Of(runs).WithReplay(seed, 1);
}
