using System.CommandLine;

namespace OrleansStreams.ClientApp.Commands;

/// <summary>The options that every command over HTTP has.</summary>
internal static class SharedOptions
{
    public const string ServerAbsent = "http://127.0.0.1:8080";

    public static readonly Option<string> Server = new("--server")
    {
        Description = $"The server's address; the environment variable STREAMS_SERVER is used when this is absent, {ServerAbsent} without both.",
        HelpName = "URL",
        Recursive = true,
        DefaultValueFactory = _ => Environment.GetEnvironmentVariable("STREAMS_SERVER") is { Length: > 0 } address ? address : ServerAbsent,
    };

    public static readonly Option<bool> Json = new("--json") { Description = "Machine-readable output.", Recursive = true };

    /// <summary>Reads options of the form NAME=VALUE that may stand several times.</summary>
    public static Dictionary<string, string> Pairs(string option, string[]? texts)
    {
        var pairs = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var text in texts ?? [])
        {
            var equals = text.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0 || !pairs.TryAdd(text[..equals], text[(equals + 1)..]))
            {
                throw CommandFailedException.Usage($"{option} {text}: give NAME=VALUE, each name once.");
            }
        }

        return pairs;
    }
}
