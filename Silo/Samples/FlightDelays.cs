using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Silo.Samples;

/// <summary>
/// The sample application: delays per origin airport in one-hour tumbling windows of event time. Sub-topology 0 is a file source task that writes the
/// arrivals file to topic <c>flights</c>; sub-topology 1 has a task per partition of it.
/// </summary>
public static class FlightDelays
{
    /// <summary>The application's name.</summary>
    public const string Name = "flight-delays";

    /// <summary>The input topic.</summary>
    public const string Flights = "flights";

    /// <summary>The topic of final windows.</summary>
    public const string DelaysByAirport = "delays-by-airport";

    /// <summary>The topic of late flights.</summary>
    public const string FlightsLate = "flights-late";

    /// <summary>The window store, for queries.</summary>
    public const string Store = "delays";

    /// <summary>The size of a window in ms.</summary>
    public const long WindowMs = 3_600_000;

    private static readonly ISerde<Flight> FlightSerde = Serdes.Json<Flight>();

    /// <summary>The start of the window that holds an event time, ms since the Unix epoch.</summary>
    public static long WindowStart(long eventTime) => eventTime - (((eventTime % WindowMs) + WindowMs) % WindowMs);

    /// <summary>
    /// Describes the topology. Parameters: <c>file</c> (the arrivals file, relative to the data folder), <c>out-of-orderness</c> and <c>grace</c> (time spans),
    /// <c>rate</c> (rows per second, 0 for no bound). A version (<c>flight-delays@v2</c>) has topics of its own: <c>flights-v2</c> and so on.
    /// </summary>
    public static void Build(StreamsBuilder builder, ApplicationParameters parameters, string dataPath)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(parameters);
        var outOfOrderness = parameters.GetTimeSpan("out-of-orderness", TimeSpan.FromHours(2));
        var grace = parameters.GetTimeSpan("grace", TimeSpan.FromHours(1));

        // A version reads the file by itself: the rows that another one has written are that one's.
        string Named(string topic) => parameters.Version.Length == 0 ? topic : $"{topic}-{parameters.Version}";

        // Where the arrivals lie and how fast they come changes no result: the journal knows their content.
        builder.AllowChanges("file", ApplicationParameters.Rate)
            .FileSource<string, Flight>("arrivals", Path.Combine(dataPath, parameters.GetString("file")), ParseLine)
            .To(Named(Flights), Produced.With(Serdes.Utf8, FlightSerde));

        builder.Stream(
                Named(Flights),
                Consumed.With(Serdes.Utf8, FlightSerde).WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(outOfOrderness)))
            .GroupByKey()
            .WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(WindowMs)).Grace(grace))
            .LateTo(Named(FlightsLate))
            .Aggregate(
                () => default(DelayStats),
                (_, flight, stats) => stats.Add(flight.Delay),
                Materialized.As(Store, Serdes.Json<DelayStats>()))
            .Map((windowed, stats) => (windowed.Key, DelayWindow.Of(windowed.WindowStartMs, windowed.Key, stats)))
            .To(Named(DelaysByAirport), Produced.With(Serdes.Utf8, Serdes.Json<DelayWindow>()));
    }

    private static (string Key, Flight Value, long Timestamp) ParseLine(ReadOnlySpan<byte> line, long lineNumber)
    {
        var flight = Flight.ParseLine(line);
        return (flight.Origin, flight, flight.Scheduled);
    }
}
