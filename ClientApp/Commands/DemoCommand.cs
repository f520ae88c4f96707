using System.CommandLine;
using System.Globalization;
using OrleansStreams.ClientApp.Demo;
using OrleansStreams.Log;

namespace OrleansStreams.ClientApp.Commands;

/// <summary><c>demo</c>: the whole path in one process, on real flights.</summary>
internal static class DemoCommand
{
    /// <summary>As many as a topic may have.</summary>
    private static readonly int PartitionsMax = new StreamsOptions().TopicPartitionsMax;

    public static Command Create()
    {
        var data = new Option<string?>("--data") { Description = "The data folder; a run killed at any moment resumes from it. Default: a folder in your local application data." };
        var input = new Option<string?>("--input") { Description = "Flights to stream instead of the shipped 20,000: a JSON array, JSON lines or CSV with date,delay,distance,origin,destination." };
        var partitions = new Option<int>("--partitions") { Description = string.Create(CultureInfo.InvariantCulture, $"Partitions of the topics, 1 to {PartitionsMax}."), DefaultValueFactory = _ => 4 };
        var outOfOrderness = Duration("--out-of-orderness", "How far the watermark trails the largest event time, for example 2h, 90m, 30s.", TimeSpan.FromHours(2));
        var grace = Duration("--grace", "How long a window stays open after its end.", TimeSpan.FromHours(1));
        var rate = new Option<double>("--rate") { Description = "Rows per second at most; 0 for as fast as it goes." };
        var output = new Option<string?>("--out") { Description = "Write every final window to this file as JSON lines, by window start, then origin." };
        var verify = new Option<bool>("--verify") { Description = "Compute everything again by one sequential pass over the input; exit 1 on any difference." };
        var json = new Option<bool>("--json") { Description = "Print status as JSON lines." };
        var fresh = new Option<bool>("--fresh") { Description = "Delete what an earlier demo left in the data folder, and start from the beginning." };
        var command = new Command("demo", "Streams 20,000 real flights through a log, exactly-once windows and queries, in one process.")
        {
            data, input, partitions, outOfOrderness, grace, rate, output, verify, json, fresh,
        };
        partitions.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is var count && (count < 1 || count > PartitionsMax))
            {
                result.AddError(string.Create(CultureInfo.InvariantCulture, $"--partitions must be from 1 to {PartitionsMax}"));
            }
        });
        rate.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<double>() is not (>= 0 and < 1e9))
            {
                result.AddError("--rate must be 0 or a positive number of rows per second");
            }
        });
        command.SetAction((parsed, cancellationToken) => DemoRun.RunAsync(
            new DemoOptions
            {
                Data = parsed.GetValue(data),
                Input = parsed.GetValue(input),
                Partitions = parsed.GetValue(partitions),
                OutOfOrderness = parsed.GetValue(outOfOrderness),
                Grace = parsed.GetValue(grace),
                Rate = parsed.GetValue(rate),
                Output = parsed.GetValue(output),
                Verify = parsed.GetValue(verify),
                Json = parsed.GetValue(json),
                Fresh = parsed.GetValue(fresh),
            },
            cancellationToken));
        return command;
    }

    private static Option<TimeSpan> Duration(string name, string description, TimeSpan otherwise) => new(name)
    {
        Description = description,
        DefaultValueFactory = _ => otherwise,
        CustomParser = result =>
        {
            if (TryParseDuration(result.Tokens[0].Value, out var duration))
            {
                return duration;
            }

            result.AddError($"{name} is '{result.Tokens[0].Value}'; write a duration such as 2h, 90m, 30s, 500ms or 02:00:00");
            return default;
        },
    };

    internal static bool TryParseDuration(string text, out TimeSpan duration)
    {
        duration = default;
        foreach (var (unit, milliseconds) in (ReadOnlySpan<(string, double)>)[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)])
        {
            if (text.EndsWith(unit, StringComparison.Ordinal) &&
                double.TryParse(text[..^unit.Length], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var amount) && amount <= 36_500 * 86_400_000.0 / milliseconds)
            {
                duration = TimeSpan.FromMilliseconds(amount * milliseconds);
                return true;
            }
        }

        return TimeSpan.TryParseExact(text, "c", CultureInfo.InvariantCulture, out duration) && duration >= TimeSpan.Zero;
    }
}
