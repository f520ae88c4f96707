using System.Globalization;

namespace OrleansStreams.Processing.RandomTopologies;

/// <summary>A record of a model. A null value is one.</summary>
internal sealed record ModelRecord(string Key, string? Value, long Time)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Key}={Value ?? "-"}@{Time}");
}

/// <summary>What the functions of random topologies are made of: the engine and the model call the same.</summary>
internal static class Functions
{
    private const long Modulus = 1_000_003;

    /// <summary>FNV-1a, the same in every process.</summary>
    public static uint Hash(string? text, int salt = 0)
    {
        var hash = 2166136261u ^ (uint)salt;
        foreach (var character in text ?? "null")
        {
            hash = (hash ^ character) * 16777619u;
        }

        return hash ^ (hash >> 15);
    }

    /// <summary>Keeps values short enough to be read, however many steps add to them.</summary>
    public static string Short(string text) => text.Length <= 12 ? text : $"#{Hash(text)}";

    public static bool IsKept(string key, string? value, int salt) => Hash($"{key},{value}", salt) % 4 != 0;

    /// <summary>Null for some values.</summary>
    public static string? Mapped(string? value, int salt) => value is null || Hash(value, salt) % 6 == 0 ? null : Short($"m{value}");

    /// <summary>None, one or two values.</summary>
    public static IEnumerable<string> Many(string? value, int salt) => Enumerable.Range(0, (int)(Hash(value, salt) % 3)).Select(number => Short($"{value}.{number}"));

    public static string NewKey(string key, string? value, int salt) => $"n{Hash($"{key},{value}", salt) % 4}";

    public static string Joined(string? left, string? right) => Short($"{left ?? "_"}+{right ?? "_"}");

    /// <summary>A key of another table, or null.</summary>
    public static string? ForeignKey(string value, int salt) => Hash(value, salt) % 5 is var number && number == 4 ? null : $"k{number}";

    /// <summary>A group's rows and their sum, as "rows:sum"; null without rows.</summary>
    public static string WithRow(string? group, string value) => Rows(group, 1, Sum("0", value))!;

    public static string? WithoutRow(string? group, string value) => Rows(group, -1, AddSums($"{Modulus}", "-" + Sum("0", value)));

    public static string Max(string one, string other) => string.CompareOrdinal(one, other) >= 0 ? one : other;

    /// <summary>The same in any order.</summary>
    public static string Sum(string sum, string? value) => AddSums(sum, $"{Hash(value) % Modulus}");

    public static string AddSums(string one, string other) =>
        ((long.Parse(one, CultureInfo.InvariantCulture) + long.Parse(other, CultureInfo.InvariantCulture)) % Modulus).ToString(CultureInfo.InvariantCulture);

    /// <summary>Another one in any other order.</summary>
    public static string Chain(string chain, string? value) => $"c{Hash($"{chain},{value}") % Modulus}";

    private static string? Rows(string? group, int rows, string sum)
    {
        var (count, before) = group?.Split(':') is [var one, var other] ? (int.Parse(one, CultureInfo.InvariantCulture), other) : (0, "0");
        return count + rows == 0 ? null : $"{count + rows}:{AddSums(before, sum)}";
    }
}
