using OrleansStreams.Silo.Samples;

namespace OrleansStreams.ClientApp.Tests.Demo;

/// <summary>The demo as people see it, on every format of input.</summary>
public sealed class DemoOutputTests : IDisposable
{
    private const string NoServer = "http://127.0.0.1:1";

    private readonly string _folder = Directory.CreateTempSubdirectory("demo-output-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_person_sees_the_ten_worst_airports_a_histogram_the_late_flights_and_where_to_look_next()
    {
        var result = (await Cli.RunAsync(NoServer, string.Empty, "demo", "--data", In("data"), "--verify")).Fine();

        result.Output.ShouldContain("flight-delays");
        result.Output.ShouldContain("The ten worst airports");
        result.Lines.Count(line => line.Split('│').Length == 6 && double.TryParse(line.Split('│')[3], System.Globalization.CultureInfo.InvariantCulture, out _)).ShouldBe(10);
        result.Output.ShouldContain("1-15 min late");
        result.Output.ShouldContain("more than 2 h");
        result.Output.ShouldContain("20,000 flights, 17,456 windows, 19 late flights");
        result.Output.ShouldContain("MB of memory");
        result.Output.ShouldContain("verified: one sequential pass");
        result.Output.ShouldContain("Where to look next");
        result.Output.ShouldContain($"--data \"{In("data")}\"");
        result.Output.ShouldNotContain("\u001b", customMessage: "no colours in a pipe");
    }

    [Theory]
    [InlineData("flights.csv", "date,delay,distance,origin,destination\n2001/01/01 00:47,66,1750,DTW,LAS\n2001/01/01 01:10,95,2399,HNL,SFO\n")]
    [InlineData(
        "flights.json",
        """[{"date":"2001/01/01 00:47","delay":66,"distance":1750,"origin":"DTW","destination":"LAS"}, {"date":"2001/01/01 01:10","delay":95,"distance":2399,"origin":"HNL","destination":"SFO"}]""")]
    public async Task An_input_may_be_CSV_or_a_JSON_array(string name, string text)
    {
        await File.WriteAllTextAsync(In(name), text);

        (await Cli.RunAsync(NoServer, string.Empty, "demo", "--data", In("data"), "--input", In(name), "--out", In("out"), "--verify", "--json")).Fine()
            .Output.ShouldContain("\"verified\":true");

        (await File.ReadAllTextAsync(In("out"))).ShouldBe("""
            {"window_start":"2001-01-01T00:00:00Z","origin":"DTW","count":1,"sum_delay":66,"max_delay":66}
            {"window_start":"2001-01-01T01:00:00Z","origin":"HNL","count":1,"sum_delay":95,"max_delay":95}

            """);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("10001")]
    public async Task More_partitions_than_a_topic_may_have_are_refused_with_the_bounds(string partitions)
    {
        var result = await Cli.RunAsync(NoServer, string.Empty, "demo", "--data", In("data"), "--partitions", partitions);

        result.ExitCode.ShouldBe(2);
        result.Errors.ShouldContain("--partitions must be from 1 to 10000");
        Directory.Exists(In("data")).ShouldBeFalse();
    }

    private string In(string name) => Path.Combine(_folder, name);
}
