using System.Reflection;

namespace OrleansStreams.Architecture;

/// <summary>Paths that the build wrote into this assembly.</summary>
internal static class BuildFacts
{
    public static string OrleansCoreAbstractions => Value("OrleansCoreAbstractions");

    public static string RepositoryRoot => Value("RepositoryRoot");

    public static Assembly Embedded => typeof(Orleans.Grain).Assembly;

    public static Assembly GrainsInterfaces => typeof(OrleansStreams.Errors.StreamsException).Assembly;

    public static Assembly Grains => Assembly.Load("Grains");

    private static string Value(string key) =>
        Path.GetFullPath(typeof(BuildFacts).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == key).Value!);
}
