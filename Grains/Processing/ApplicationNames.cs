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

    /// <summary>The name in those of logs and topics, which take no such sign. No version has a dot, so that the last one tells where the version begins.</summary>
    public static string Stored(string name) => name.Replace(VersionSign, '.');

    /// <summary>What to do when state does not fit any more.</summary>
    public static string ProcessAnew(string name) =>
        $"Process anew: stop it, then 'apps reset {name} --to earliest'; or beside it, 'apps start {BaseOf(name)}@VERSION'.";
}
