using System.Globalization;

namespace OrleansStreams.Benchmarks.Reports;

/// <summary>How much a report does.</summary>
/// <param name="Scale">Times the records of the quoted figures; less for a quick look.</param>
/// <param name="Repeats">Runs that each median is taken of.</param>
internal sealed record ReportOptions(double Scale = 1, int Repeats = 5)
{
    public const string Usage = "[--scale 0.1] [--repeats 5]";

    /// <summary>Reads the options; null when one of them is wrong.</summary>
    public static ReportOptions? Parse(ReadOnlySpan<string> args)
    {
        var options = new ReportOptions();
        for (; args.Length > 0; args = args[2..])
        {
            if (args.Length < 2)
            {
                return null;
            }

            switch (args[0])
            {
                case "--scale" when double.TryParse(args[1], NumberStyles.Float, CultureInfo.InvariantCulture, out var scale) && scale is > 0 and <= 100:
                    options = options with { Scale = scale };
                    break;
                case "--repeats" when int.TryParse(args[1], NumberStyles.None, CultureInfo.InvariantCulture, out var repeats) && repeats is >= 1 and <= 100:
                    options = options with { Repeats = repeats };
                    break;
                default:
                    return null;
            }
        }

        return options;
    }

    public long Scaled(long records) => Math.Max(1, (long)(records * Scale));
}
