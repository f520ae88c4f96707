using System.Reflection;

namespace OrleansStreams.Architecture;

/// <summary>Paths that the build wrote into this assembly.</summary>
internal static class BuildFacts
{
    public static string OrleansCoreAbstractions => Value("OrleansCoreAbstractions");

    public static string RepositoryRoot => Value("RepositoryRoot");

    /// <summary>The host's API in the embedded build, Orleans' abstractions in the other.</summary>
    public static Assembly Embedded => typeof(Orleans.Grain).Assembly;

    /// <summary>Whether an assembly is of the actor runtime that the build has chosen.</summary>
    public static bool IsRuntime(Assembly assembly) => assembly == Embedded || assembly.GetName().Name!.StartsWith("Orleans.", StringComparison.Ordinal);

    public static Assembly GrainsInterfaces => typeof(OrleansStreams.Errors.StreamsException).Assembly;

    public static Assembly Grains => Assembly.Load("Grains");

    private static string Value(string key) =>
        Path.GetFullPath(typeof(BuildFacts).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == key).Value!);
}
