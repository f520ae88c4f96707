using static OrleansStreams.Silo.Tests.Server.SampleRun;

namespace OrleansStreams.Silo.Tests.Server;

/// <summary>The sample application that a new server runs by itself.</summary>
[Collection(ServerCollection.Name)]
public sealed class SampleTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task The_sample_of_a_new_server_completes_and_a_server_killed_in_the_middle_of_it_comes_to_the_same_end()
    {
        List<string> windows;
        List<string> late;
        await using (var whole = await SiloProcess.StartedAsync(folder.In("whole"), sample: true))
        {
            await CompletedAsync(whole);
            windows = await ValuesAsync(whole, "delays-by-airport");
            late = await ValuesAsync(whole, "flights-late");
            windows.Count.ShouldBe(17_456);
            late.Count.ShouldBe(19);
            var apps = (await whole.GetAsync("/apps")).GetProperty("apps");
            apps.GetRawText().ShouldBe("""[{"name":"flight-delays","state":"Completed","tasks":5}]""");
            var store = await whole.GetAsync("/apps/flight-delays/stores/delays?key=DTW");
            store.GetProperty("key").GetString().ShouldBe("DTW");
            store.GetProperty("watermark").GetString().ShouldBe("end");
        }

        await using (var killed = await SiloProcess.StartedAsync(folder.In("killed"), sample: true, "--sample-rate", "4000"))
        {
            await FirstWindowAsync(killed);
            (await killed.GetAsync("/apps/flight-delays")).GetProperty("state").GetString().ShouldBe("Running", "the kill comes too late");
            await killed.KillAsync();
        }

        await using var again = await SiloProcess.StartedAsync(folder.In("killed"), sample: true);
        await CompletedAsync(again);
        (await ValuesAsync(again, "delays-by-airport")).ShouldBe(windows);
        (await ValuesAsync(again, "flights-late")).ShouldBe(late);
    }

    [Fact]
    public async Task A_sample_that_cannot_be_prepared_is_told_and_the_server_serves_on()
    {
        Directory.CreateDirectory(folder.In("data"));
        await File.WriteAllTextAsync(Path.Combine(folder.In("data"), "sample"), "a file where the sample wants a folder");

        await using var silo = await SiloProcess.StartedAsync(folder.In("data"), sample: true);
        await silo.PrintedAsync("The sample application could not be started");

        await silo.PostAsync("/topics", new { name = "orders", partitions = 1 });
        await silo.PostAsync("/topics/orders/records", new { value = "served" });
        (await silo.ReadAllAsync("orders", 0)).ShouldBe([(0, "served")]);
        silo.Terminate();
        (await silo.EndAsync()).ExitCode.ShouldBe(0);
    }

    [Fact]
    public async Task A_sample_goes_on_after_its_data_folder_has_moved()
    {
        await using (var killed = await SiloProcess.StartedAsync(folder.In("here"), sample: true, "--sample-rate", "4000"))
        {
            await FirstWindowAsync(killed);
            await killed.KillAsync();
        }

        Directory.Move(folder.In("here"), folder.In("there"));

        await using var moved = await SiloProcess.StartedAsync(folder.In("there"), sample: true);
        await CompletedAsync(moved);
        (await ValuesAsync(moved, "delays-by-airport")).Count.ShouldBe(17_456);
    }
}
