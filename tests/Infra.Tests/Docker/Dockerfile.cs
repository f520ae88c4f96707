using System.Text.RegularExpressions;

namespace OrleansStreams.Infra.Tests.Docker;

/// <summary>One instruction, its continuation lines joined.</summary>
internal sealed record Instruction(string Name, string Arguments)
{
    /// <summary>The arguments, or those of the JSON form.</summary>
    public string[] Words => Arguments.StartsWith('[')
        ? System.Text.Json.JsonSerializer.Deserialize<string[]>(Arguments)!
        : Arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries);
}

/// <summary>A Dockerfile's instructions, with ARG defaults filled in.</summary>
internal sealed partial class Dockerfile
{
    private static readonly string[] Known = ["ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "EXPOSE", "USER", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT"];

    public Dockerfile(string text)
    {
        var defaults = new Dictionary<string, string>();
        foreach (var line in Lines(text))
        {
            var parts = line.Split(' ', 2, StringSplitOptions.TrimEntries);
            if (!Known.Contains(parts[0]) || parts.Length < 2)
            {
                throw new FormatException($"no instruction of a Dockerfile, or none that is checked here: {line}");
            }

            if (parts[0] == "ARG" && parts[1].Split('=', 2) is [var name, var value])
            {
                defaults[name] = value;
            }

            All.Add(new Instruction(parts[0], Variable().Replace(parts[1], match => defaults.GetValueOrDefault(match.Groups[1].Value, match.Value))));
        }
    }

    public List<Instruction> All { get; } = [];

    /// <summary>The instructions of the last stage: those that make the image.</summary>
    public IEnumerable<Instruction> Final => All.Skip(All.FindLastIndex(one => one.Name == "FROM"));

    public IReadOnlyDictionary<string, string> Variables => Final.Where(one => one.Name == "ENV").SelectMany(one => one.Words)
        .Select(pair => pair.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1]);

    /// <summary>The instruction of the final stage that stands there last, which is the one that holds.</summary>
    public Instruction? Last(string name) => Final.LastOrDefault(one => one.Name == name);

    /// <summary>COPY instructions from the context, up to the first RUN that contains a text.</summary>
    public IEnumerable<Instruction> CopiesBefore(string command) => All.TakeWhile(one => !(one.Name == "RUN" && one.Arguments.Contains(command, StringComparison.Ordinal)))
        .Where(one => one.Name == "COPY" && !one.Arguments.StartsWith("--from", StringComparison.Ordinal));

    private static IEnumerable<string> Lines(string text) => Regex.Replace(text, @"\\\r?\n\s*", " ").Split('\n')
        .Select(line => line.Trim()).Where(line => line.Length > 0 && !line.StartsWith('#'));

    [GeneratedRegex(@"\$\{(\w+)\}")]
    private static partial Regex Variable();
}
