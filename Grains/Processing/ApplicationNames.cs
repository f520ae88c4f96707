namespace OrleansStreams.Processing;

/// <summary>
/// An application runs under the name that it is registered with, and beside that in versions of it, <c>name@version</c>: the same registration with parameters, state and internal topics of
/// its own.
/// </summary>
internal static class ApplicationNames
{
    private const char VersionSign = '@';

    /// <summary>The name that the application is registered with.</summary>
    public static string BaseOf(string name) => IsVersion(name) ? name[..name.IndexOf(VersionSign, StringComparison.Ordinal)] : name;

    /// <summary>The version in the name; empty without.</summary>
    public static string VersionOf(string name) => IsVersion(name) ? name[(name.IndexOf(VersionSign, StringComparison.Ordinal) + 1)..] : string.Empty;

    /// <summary>Whether the name has a version.</summary>
    public static bool IsVersion(string name) => name.Contains(VersionSign, StringComparison.Ordinal);

    /// <summary>The name in those of logs and topics, which take no such sign.</summary>
    public static string Stored(string name) => name.Replace(VersionSign, '.');
}
