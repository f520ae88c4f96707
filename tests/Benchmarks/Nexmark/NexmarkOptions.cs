using System.Globalization;
using OrleansStreams.Nexmark.Queries;

namespace OrleansStreams.Benchmarks.Nexmark;

/// <summary>What the Nexmark report runs.</summary>
/// <param name="Events">Events, from the first on.</param>
/// <param name="Repeats">Runs that each median is taken of.</param>
/// <param name="Queries">Which queries.</param>
internal sealed record NexmarkOptions(int Events, int Repeats, IReadOnlyList<NexmarkQuery> Queries)
{
    public const string Usage = "[--events 100000] [--repeats 5] [--queries q0,q5,q11]";

    /// <summary>Reads the options; null when one of them is wrong.</summary>
    public static NexmarkOptions? Parse(ReadOnlySpan<string> args)
    {
        var options = new NexmarkOptions(100_000, 5, NexmarkQueries.All);
        for (; args.Length > 0; args = args[2..])
        {
            if (args.Length < 2)
            {
                return null;
            }

            switch (args[0])
            {
                case "--events" when int.TryParse(args[1], NumberStyles.None, CultureInfo.InvariantCulture, out var events) && events is >= 1 and <= 10_000_000:
                    options = options with { Events = events };
                    break;
                case "--repeats" when int.TryParse(args[1], NumberStyles.None, CultureInfo.InvariantCulture, out var repeats) && repeats is >= 1 and <= 100:
                    options = options with { Repeats = repeats };
                    break;
                case "--queries" when args[1].Split(',').Select(NexmarkQueries.Find).ToArray() is var chosen && Array.TrueForAll(chosen, query => query is not null):
                    options = options with { Queries = [.. chosen.Select(query => query!)] };
                    break;
                default:
                    return null;
            }
        }

        return options;
    }
}
