using OrleansStreams.Silo.Tests.Server;

namespace OrleansStreams.Silo.Tests.Postgres;

/// <summary>The embedded host is never a cluster: a second silo, which would join the first one in the orleans build, is a mistake here.</summary>
public sealed partial class PostgresSiloTests
{
    [Fact]
    public async Task A_second_silo_on_the_schema_is_refused_and_the_first_is_not_disturbed()
    {
        await using var first = await SiloProcess.StartedAsync(folder.In("data"), sample: false, Postgres);
        await first.PostAsync("/topics", new { name = "orders", partitions = 1 });

        await RefusedAsync($"the schema '{Schema}' of this database is in use by 'orleans-streams, process", Postgres);

        await first.PostAsync("/topics/orders/records", new { value = "after" });
        (await first.ReadAllAsync("orders", 0)).ShouldBe([(0, "after")]);
    }
}
