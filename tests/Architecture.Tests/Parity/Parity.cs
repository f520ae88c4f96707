using System.Collections.Immutable;

namespace OrleansStreams.Architecture.Parity;

/// <summary>Compares what the embedded host claims to share with Orleans with what Orleans has.</summary>
internal static class Parity
{
    /// <summary>What ours has and theirs lacks, or has otherwise.</summary>
    /// <param name="ours">The embedded API.</param>
    /// <param name="theirs">The official assembly's API.</param>
    /// <param name="elsewhere">Types whose official home is another assembly, with the reason why they aren't compared.</param>
    public static List<string> Differences(
        ImmutableSortedDictionary<string, ApiType> ours, ImmutableSortedDictionary<string, ApiType> theirs, IReadOnlyDictionary<string, string> elsewhere)
    {
        List<string> differences = [];
        foreach ((string name, ApiType type) in ours)
        {
            if (elsewhere.ContainsKey(name))
            {
                if (theirs.ContainsKey(name))
                {
                    differences.Add($"{name}: said to be at home elsewhere, but the official assembly has it: compare it");
                }

                continue;
            }

            if (!theirs.TryGetValue(name, out ApiType? official))
            {
                differences.Add($"{name}: the official assembly has no such public type");
                continue;
            }

            if (type.Shape != official.Shape)
            {
                differences.Add($"{name}: is '{type.Shape}', officially '{official.Shape}'");
            }

            differences.AddRange(type.Interfaces.Where(i => !official.Interfaces.Contains(i)).Select(i => $"{name}: officially does not implement {i}"));
            differences.AddRange(type.Members.Where(m => !official.Members.Contains(m)).Select(m => $"{name}: officially has no {m}{Similar(m, official)}"));
        }

        differences.AddRange(elsewhere.Keys.Where(name => !ours.ContainsKey(name)).Select(name => $"{name}: in the list of types at home elsewhere, but the embedded API has no such type"));
        return differences;
    }

    private static string Similar(string member, ApiType official)
    {
        string name = NameOf(member);
        return string.Concat(official.Members.Where(m => NameOf(m) == name).Select(m => $"{Environment.NewLine}      but {m}"));
    }

    private static string NameOf(string member) => member.Split('(', ' ').FirstOrDefault(part => member.Contains($" {part}(", StringComparison.Ordinal)) ?? member;
}
