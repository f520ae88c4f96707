using System.Xml.Linq;

namespace OrleansStreams.Architecture.Dependencies;

/// <summary>The references between projects, as the project files state them.</summary>
internal static class ProjectReferences
{
    /// <summary>Every product project (not tests) and what it may reference. ActorRuntime.props adds the actor runtime, for whoever imports it.</summary>
    public static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["EmbeddedOrleans"] = [],
        ["OrleansStandIns"] = [],
        ["Grains.Interfaces"] = [],
        ["Grains"] = ["Grains.Interfaces"],
        ["OrleansStreaming"] = ["Grains.Interfaces"],
        ["Silo"] = ["Grains", "Grains.Interfaces"],
        ["OrleansClient"] = ["Grains.Interfaces"],
        ["OrderProducer"] = ["OrleansClient"],
        ["OrderConsumer"] = ["OrleansClient"],
        ["OrderView"] = ["OrleansClient"],
        ["OrderSilo"] = ["Silo"],
        ["ClientApp"] = ["Grains.Interfaces", "Silo", "OrleansClient"],
    };

    /// <summary>References that the list doesn't allow, and projects that it doesn't know.</summary>
    public static List<string> Broken(string root, IReadOnlyDictionary<string, string[]> allowed)
    {
        List<string> broken = [];
        foreach (string path in Files(root))
        {
            string project = Path.GetFileNameWithoutExtension(path);
            if (!allowed.TryGetValue(project, out string[]? may))
            {
                broken.Add($"{project}: add it to the list of what product projects may reference");
                continue;
            }

            broken.AddRange(XDocument.Load(path).Descendants("ProjectReference")
                .Select(r => Path.GetFileNameWithoutExtension(r.Attribute("Include")!.Value.Replace('\\', '/')))
                .Where(r => !may.Contains(r))
                .Select(r => $"{project} must not reference {r}"));
        }

        return broken;
    }

    public static IEnumerable<string> Files(string root) =>
        Directory.EnumerateFiles(root, "*.csproj", new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 3 })
            .Where(f => !Path.GetRelativePath(root, f).Split(Path.DirectorySeparatorChar).Any(d => d is "tests" || d.StartsWith('.')));
}
