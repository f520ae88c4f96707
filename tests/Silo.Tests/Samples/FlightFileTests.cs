using OrleansStreams.Errors;
using OrleansStreams.Silo.Samples;

namespace OrleansStreams.Silo.Tests.Samples;

public sealed class FlightFileTests : IDisposable
{
    private const string Detroit = """{"date":"2001/01/01 00:47","delay":66,"distance":1750,"origin":"DTW","destination":"LAS"}""";
    private const string Honolulu = """{"date":"2001/01/01 01:10","delay":95,"distance":2399,"origin":"HNL","destination":"SFO"}""";

    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Theory]
    [InlineData("[" + Detroit + "," + Honolulu + "]")]
    [InlineData("\n [\n" + Detroit + "\n,\n" + Honolulu + "\n]\n")]
    [InlineData(Detroit + "\n" + Honolulu)]
    [InlineData("date,delay,distance,origin,destination\n2001/01/01 00:47,66,1750,DTW,LAS\n2001-01-01T01:10:00Z,95,2399,HNL,SFO\n")]
    [InlineData("origin,date,delay\nDTW,2001/01/01 00:47,66\nHNL,2001/01/01 01:10,95")]
    public void Every_format_gives_the_same_flights(string text)
    {
        var flights = Read(text);

        flights.Select(flight => (flight.Scheduled, flight.Delay, flight.Origin)).ShouldBe([(978_310_020_000, 66, "DTW"), (978_311_400_000, 95, "HNL")]);
        flights[0].Arrival.ShouldBe(978_310_020_000 + (66 * 60_000));
    }

    [Theory]
    [InlineData("[" + Detroit + ",\n{\"date\":\"yesterday\",\"delay\":1,\"origin\":\"DTW\"}]", 2, "yesterday")]
    [InlineData(Detroit + "\n\n{\"date\":\"2001/01/01 00:47\",\"origin\":\"DTW\"}", 3, "'delay' is missing")]
    [InlineData(Detroit + "\nnot json", 2, "JSON object")]
    [InlineData("[" + Detroit + "\n" + Honolulu + "]", 2, "comma")]
    [InlineData("[" + Detroit, 1, "not closed")]
    [InlineData(Detroit + "\n{\"date\":", 2, "")]
    [InlineData("[" + Detroit + "]\n[", 2, "after the array's end")]
    [InlineData("date,delay,distance,origin,destination\n2001/01/01 00:47,66,1750,DTW,LAS\n2001/01/01 00:47,many,1750,DTW,LAS\n", 3, "")]
    [InlineData("see \"x\"\nand more\n", 1, "neither JSON nor CSV")]
    [InlineData("hello\nworld\n", 1, "neither JSON nor CSV")]
    public void A_wrong_row_is_named_by_file_and_line(string text, int line, string what)
    {
        var error = Should.Throw<StreamsException>(() => Read(text));

        error.Code.ShouldBe(StreamsErrorCode.InvalidInput);
        error.Message.ShouldStartWith($"{_path}, line {line}: ");
        error.Message.ShouldContain(what);
    }

    [Fact]
    public void A_missing_file_is_a_typed_error() =>
        Should.Throw<StreamsException>(() => FlightFile.Read("/nowhere/flights.json").ToList()).Code.ShouldBe(StreamsErrorCode.InvalidInput);

    [Fact]
    public void Rows_larger_than_the_first_buffer_are_read()
    {
        var wide = Detroit.Replace("LAS", new string('x', 200_000), StringComparison.Ordinal);

        Read(string.Join('\n', Enumerable.Repeat(wide, 5))).Count.ShouldBe(5);
    }

    [Fact]
    public void The_shipped_file_has_20000_flights_from_220_airports()
    {
        var flights = FlightFile.Read(FlightDelaysSettings.ShippedInput).ToList();

        flights.Count.ShouldBe(20_000);
        flights.Select(flight => flight.Origin).Distinct().Count().ShouldBe(220);
    }

    private List<Flight> Read(string text)
    {
        File.WriteAllText(_path, text);
        return [.. FlightFile.Read(_path)];
    }
}
