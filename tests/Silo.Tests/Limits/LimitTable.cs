using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;

namespace OrleansStreams.Silo.Tests.Limits;

/// <summary>A row of the README's table of limits.</summary>
internal sealed record LimitRow(string Setting, long Default, long Least, long Most)
{
    /// <summary>All rows of the README.</summary>
    public static IReadOnlyList<LimitRow> FromReadme([CallerFilePath] string path = "") =>
    [
        .. File.ReadAllLines(Path.Combine(Path.GetDirectoryName(path)!, "../../../README.md"))
            .SkipWhile(line => line != "<!-- limits -->").TakeWhile(line => line != "<!-- /limits -->").Skip(3)
            .Select(line => line.Split('|', StringSplitOptions.TrimEntries))
            .Select(cells => new LimitRow(cells[2].Trim('`'), Number(cells[3]), Number(cells[4]), Number(cells[5]))),
    ];

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);
}

/// <summary>Marks the test that shows what happens at a limit.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class LimitAttribute(string setting) : Attribute
{
    public string Setting => setting;

    /// <summary>The settings that have a test.</summary>
    public static IEnumerable<string> Tested(Type tests) => tests.GetMethods().Select(method => method.GetCustomAttribute<LimitAttribute>()?.Setting).OfType<string>();
}
