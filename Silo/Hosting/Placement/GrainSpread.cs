using System.Globalization;
using System.Text;
using OrleansStreams.Records;

namespace OrleansStreams.Silo.Hosting.Placement;

/// <summary>
/// Where a grain goes that nobody has placed yet: the grains of one topic or application one after the other over the silos, from a silo on that depends on its
/// name. So the partitions of each topic are even from the first moment, whoever asks for them first, and no silo has to be asked what it holds.
/// </summary>
internal static class GrainSpread
{
    /// <summary>What a grain belongs to, and its number there.</summary>
    /// <param name="key">The grain's key: <c>topic/3</c> for a partition, <c>application/0_3</c> for a task, any name else.</param>
    /// <returns>The key up to its number, with number 0 when it ends with none that fits.</returns>
    public static (string Group, int Number) Parse(string key)
    {
        var start = key.Length;
        while (start > 0 && char.IsAsciiDigit(key[start - 1]))
        {
            start--;
        }

        // Only what a separator sets off is a number of ours: the names of groups and topics may end with digits of their own.
        var isOurs = start > 0 && key[start - 1] is '/' or '_' && key.Contains('/', StringComparison.Ordinal);
        return isOurs && int.TryParse(key.AsSpan(start), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? (key[..start], number) : (key, 0);
    }

    /// <summary>The silo of a grain, from 0 to <paramref name="silos"/> - 1; the same in every process.</summary>
    public static int SiloOf(string key, int silos)
    {
        var (group, number) = Parse(key);
        var first = KeyHash.Murmur2(Encoding.UTF8.GetBytes(group)) & 0x7fffffff;
        return (int)((first + (long)number) % silos);
    }
}
