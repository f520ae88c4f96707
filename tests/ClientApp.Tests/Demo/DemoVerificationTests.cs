using OrleansStreams.ClientApp.Demo;
using OrleansStreams.Silo.Samples;

namespace OrleansStreams.ClientApp.Tests.Demo;

/// <summary><c>--verify</c> must find what is wrong, not only pass what is right.</summary>
public sealed class DemoVerificationTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("verify-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Right_windows_have_no_difference_and_each_kind_of_wrong_one_is_named()
    {
        Compare(windows => windows).ShouldBeEmpty();
        Compare(windows => windows, late: 1).ShouldHaveSingleItem().ShouldStartWith("late flights: 1, the sequential pass has 0");
        Compare(windows => windows.Skip(1)).ShouldHaveSingleItem().ShouldStartWith("missing: ");
        Compare(windows => windows.Append(windows[0] with { Origin = "ZZZ" })).ShouldHaveSingleItem().ShouldStartWith("too many: ");
        Compare(windows => windows.Append(windows[0])).ShouldHaveSingleItem().ShouldStartWith("too many: ");
        Compare(windows => windows.Select((window, index) => index == 1 ? window with { SumDelay = window.SumDelay + 1 } : window))
            .ShouldHaveSingleItem().ShouldStartWith("different: ");
    }

    [Fact]
    public void Arrivals_that_are_not_the_inputs_are_found()
    {
        var run = Prepared();
        File.AppendAllText(ArrivalOrder.FileIn(run.Folder), File.ReadLines(ArrivalOrder.FileIn(run.Folder)).Last() + "\n");
        using var windows = new ExternalSort<DelayWindow>(WindowFile.Format, Path.Combine(_folder, "windows"));

        Should.Throw<OrleansStreams.Errors.StreamsException>(() => DemoVerification.Compare(run, windows, 0)).Message.ShouldContain("does not hold the flights of");
    }

    private IReadOnlyList<string> Compare(Func<DelayWindow[], IEnumerable<DelayWindow>> tamper, long late = 0)
    {
        var run = Prepared();
        var right = new List<DelayWindow>();
        new SequentialPass(run.Partitions, run.OutOfOrderness, run.Grace, right.Add).Run(run.Input, ArrivalOrder.FileIn(run.Folder));
        using var windows = new ExternalSort<DelayWindow>(WindowFile.Format, Path.Combine(_folder, "windows"));
        foreach (var window in tamper([.. right]))
        {
            windows.Add(window);
        }

        return DemoVerification.Compare(run, windows, late);
    }

    private FlightDelaysSettings Prepared()
    {
        var input = Path.Combine(_folder, "input.csv");
        File.WriteAllText(input, """
            date,delay,distance,origin,destination
            2001/01/01 01:00,5,1,AAA,BBB
            2001/01/01 02:00,6,1,AAA,BBB
            2001/01/01 03:00,7,1,CCC,BBB

            """);
        var run = new FlightDelaysSettings { Input = input, DataPath = _folder };
        ArrivalOrder.Prepare(input, run.Folder);
        return run;
    }
}
