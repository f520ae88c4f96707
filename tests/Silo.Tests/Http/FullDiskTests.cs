using OrleansStreams.Storage;

namespace OrleansStreams.Silo.Tests.Http;

public sealed class FullDiskTests
{
    [Fact]
    public async Task A_full_disk_is_told_as_such_nothing_is_lost_and_writing_goes_on_when_there_is_room_again()
    {
        var isFull = false;
        await using var storage = new MemoryLogStorage
        {
            BeforeWrite = log => Volatile.Read(ref isFull) && log.Path.StartsWith("topics/", StringComparison.Ordinal)
                ? throw new StreamsException(StreamsErrorCode.DiskFull, "The disk is full; free some space.", WriteOutcome.NotWritten)
                : Task.CompletedTask,
        };
        await using var silo = await TestSilo.StartAsync(services: services => services.AddSingleton<ILogStorage>(storage));
        var topic = await silo.CreateTopicAsync();
        await silo.PostAsync($"/topics/{topic}/records", new { value = "before" });

        Volatile.Write(ref isFull, true);
        var problem = await silo.RefusedAsync(HttpMethod.Post, $"/topics/{topic}/records", new { value = "refused" }, StreamsErrorCode.DiskFull);
        problem.GetProperty("status").GetInt32().ShouldBe(507);
        problem.GetProperty("outcome").GetString().ShouldBe("notWritten");

        Volatile.Write(ref isFull, false);
        await silo.PostAsync($"/topics/{topic}/records", new { value = "after" });
        (await silo.GetAsync($"/topics/{topic}/records?partition=0")).GetProperty("records").EnumerateArray()
            .Select(record => record.GetProperty("value").GetString()).ShouldBe(["before", "after"]);
    }
}
