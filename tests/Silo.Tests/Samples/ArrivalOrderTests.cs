using OrleansStreams.Errors;
using OrleansStreams.Silo.Samples;

namespace OrleansStreams.Silo.Tests.Samples;

public sealed class ArrivalOrderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("arrivals-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Flights_are_put_in_order_of_scheduled_time_plus_delay_and_ties_keep_the_order_of_the_rows()
    {
        var prepared = Prepare("""
            date,delay,distance,origin,destination
            2001/01/01 02:00,0,1,TIE,1
            2001/01/01 03:00,0,1,LST,4
            2001/01/01 01:00,60,1,TIE,2
            2001/01/01 02:30,-30,1,TIE,3
            2001/01/01 00:10,-20,1,FST,0
            """);

        prepared.Rows.ShouldBe(5);
        Arrivals().Select(flight => flight.Destination).ShouldBe(["0", "1", "2", "3", "4"]);
    }

    [Fact]
    public void The_same_input_is_found_prepared_and_another_one_is_refused()
    {
        const string Header = "date,delay,distance,origin,destination\n";
        var first = Prepare(Header + "2001/01/01 02:00,0,1,AAA,BBB\n");
        var written = File.GetLastWriteTimeUtc(ArrivalOrder.FileIn(Data));

        Prepare(Header + "2001/01/01 02:00,0,1,AAA,BBB\n").ShouldBe(first);
        File.GetLastWriteTimeUtc(ArrivalOrder.FileIn(Data)).ShouldBe(written);
        var refused = Should.Throw<StreamsException>(() => Prepare(Header + "2001/01/01 02:00,1,1,AAA,BBB\n"));
        refused.Code.ShouldBe(StreamsErrorCode.InvalidInput);
        refused.Message.ShouldContain("--fresh");
    }

    [Fact]
    public void A_wrong_row_leaves_no_arrivals_behind()
    {
        Should.Throw<StreamsException>(() => Prepare("date,delay,distance,origin,destination\n2001/01/01 02:00,0,1,AAA,BBB\nnever,0,1,AAA,BBB\n")).Message.ShouldContain("line 3");

        File.Exists(ArrivalOrder.FileIn(Data)).ShouldBeFalse();
    }

    private string Data => Path.Combine(_folder, "sample");

    private ArrivalInput Prepare(string csv)
    {
        var input = Path.Combine(_folder, "input.csv");
        File.WriteAllText(input, csv);
        return ArrivalOrder.Prepare(input, Data);
    }

    private Flight[] Arrivals() => [.. File.ReadAllLines(ArrivalOrder.FileIn(Data)).Select(line => Flight.ParseLine(System.Text.Encoding.UTF8.GetBytes(line)))];
}
