using System.Collections.Immutable;
using System.Globalization;
using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Log;

namespace OrleansStreams.Silo.Samples;

/// <summary>One run of the sample application.</summary>
public sealed record FlightDelaysSettings
{
    /// <summary>The input file: a JSON array, JSON lines or CSV.</summary>
    public required string Input { get; init; }

    /// <summary>The silo's data folder.</summary>
    public required string DataPath { get; init; }

    /// <summary>The folder for the arrivals file.</summary>
    public string Folder => Path.Combine(DataPath, "sample");

    /// <summary>The partitions of all three topics.</summary>
    public int Partitions { get; init; } = 4;

    /// <summary>How far the watermark trails the largest event time.</summary>
    public TimeSpan OutOfOrderness { get; init; } = TimeSpan.FromHours(2);

    /// <summary>How long a window stays open after its end.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Rows per second at most; 0 for no bound.</summary>
    public double Rate { get; init; }

    /// <summary>The flights that come with the silo.</summary>
    public static string ShippedInput => Path.Combine(AppContext.BaseDirectory, "Samples", "flights-20k.csv");
}

/// <summary>Starts the sample: arrivals file, topics, application. Everything in it can be done again after a crash anywhere.</summary>
public static class FlightDelaysRun
{
    /// <summary>Starts or resumes the run.</summary>
    /// <exception cref="StreamsException">InvalidInput for a wrong input file; InvalidRequest when the data folder holds a run with other settings.</exception>
    public static async Task<ArrivalInput> StartAsync(StreamsClient client, FlightDelaysSettings settings, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(client);
        ArgumentNullException.ThrowIfNull(settings);
        var input = await Task.Run(() => ArrivalOrder.Prepare(settings.Input, settings.Folder, cancellationToken), cancellationToken);
        foreach (var topic in (string[])[FlightDelays.Flights, FlightDelays.DelaysByAirport, FlightDelays.FlightsLate])
        {
            await EnsureTopicAsync(client.Admin, topic, settings.Partitions, cancellationToken);
        }

        var parameters = ImmutableDictionary<string, string>.Empty
            // Relative, so that a data folder may move.
            .Add("file", Path.GetRelativePath(settings.DataPath, ArrivalOrder.FileIn(settings.Folder)))
            .Add("out-of-orderness", settings.OutOfOrderness.ToString("c", CultureInfo.InvariantCulture))
            .Add("grace", settings.Grace.ToString("c", CultureInfo.InvariantCulture))
            .Add("rate", settings.Rate.ToString(CultureInfo.InvariantCulture));
        await client.Applications.StartAsync(FlightDelays.Name, parameters, cancellationToken);
        return input;
    }

    private static async Task EnsureTopicAsync(AdminClient admin, string name, int partitions, CancellationToken cancellationToken)
    {
        try
        {
            // Event times are of 2001: retention by age would remove the records at once.
            await admin.CreateTopicAsync(name, partitions, new TopicConfig { RetentionMs = -1 }, cancellationToken);
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.TopicAlreadyExists)
        {
            var there = await admin.DescribeTopicAsync(name, cancellationToken);
            if (there.PartitionCount != partitions)
            {
                throw new StreamsException(
                    StreamsErrorCode.InvalidRequest,
                    $"the data folder holds topic {name} with {there.PartitionCount} partitions, not {partitions}; say --partitions {there.PartitionCount}, name another folder with --data, or start again with --fresh");
            }
        }
    }
}
