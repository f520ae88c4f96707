using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace OrleansStreams.ClientApp.Tests;

[Collection(SiloCollection.Name)]
public class GroupCommandTests(SiloFixture fixture)
{
    private readonly TestSilo silo = fixture.Silo;
    private readonly string group = $"g-{Guid.NewGuid():N}";

    [Fact]
    public async Task A_group_goes_on_where_it_stopped()
    {
        var topic = await TopicAsync(partitions: 2, records: 20);

        (await ConsumeAsync(topic, "--max", "5")).Lines.Length.ShouldBe(5);
        var rest = await ConsumeAsync(topic);
        rest.Lines.Length.ShouldBe(15);
        (await ConsumeAsync(topic)).Lines.ShouldBeEmpty();

        await ProduceAsync(topic, 20, 22);
        (await ConsumeAsync(topic)).Lines.ShouldBe(["20", "21"], ignoreOrder: true);
    }

    [Fact]
    public async Task Groups_are_listed_described_and_reset()
    {
        var topic = await TopicAsync(partitions: 2, records: 20);
        await ConsumeAsync(topic);

        (await Cli.RunAsync(silo, "groups", "list")).Fine().Output.ShouldContain(group);
        var described = JsonDocument.Parse((await Cli.RunAsync(silo, "groups", "describe", group, "--json")).Fine().Output).RootElement;
        described.GetProperty("totalLag").GetInt64().ShouldBe(0);
        (await Cli.RunAsync(silo, "groups", "describe", group)).Fine().Output.ShouldContain("0 member(s)");

        (await Cli.RunAsync(silo, "groups", "reset", group, "--topic", topic, "--partition", "1", "--to", "8")).Fine();
        (await ConsumeAsync(topic)).Lines.ShouldBe(["17", "19"]);
        (await Cli.RunAsync(silo, "groups", "reset", group, "--topic", topic, "--to", "earliest")).Fine();
        (await ConsumeAsync(topic)).Lines.Length.ShouldBe(20);
        (await Cli.RunAsync(silo, "groups", "reset", group, "--topic", topic, "--to", "timestamp:1970-01-01T00:00:09Z")).Fine();
        (await ConsumeAsync(topic)).Lines.ShouldBe(["18", "19"], ignoreOrder: true);

        (await Cli.RunAsync(silo, "groups", "reset", group, "--topic", topic, "--partition", "0", "--to", "99")).Failed(1, "99");
        (await Cli.RunAsync(silo, "groups", "describe", "nobody")).Failed(1, "nobody");
    }

    [Fact]
    public async Task A_second_member_takes_over_part_of_the_partitions_and_all_of_them_when_the_first_leaves()
    {
        var topic = await TopicAsync(partitions: 4, records: 0);
        using var first = Cli.Start(silo, "consume", topic, "--group", group, "--follow");
        await StableAsync(members: 1);
        using var second = Cli.Start(silo, "consume", topic, "--group", group, "--follow");
        await StableAsync(members: 2);
        await ProduceAsync(topic, 0, 8);
        for (var i = 0; i < 8; i++)
        {
            await Task.WhenAny(first.SeenAsync($"{i}\n"), second.SeenAsync($"{i}\n")).Unwrap();
        }

        first.Signal("INT");
        var one = (await first.EndAsync()).Fine();
        await StableAsync(members: 1);
        await ProduceAsync(topic, 8, 12);
        for (var i = 8; i < 12; i++)
        {
            await second.SeenAsync($"{i}\n");
        }

        second.Signal("TERM");
        var two = (await second.EndAsync()).Fine();
        one.Lines.ShouldNotBeEmpty();
        one.Lines.Concat(two.Lines).Order().ShouldBe(Enumerable.Range(0, 12).Select(i => $"{i}").Order());
    }

    [Fact]
    public async Task A_member_that_the_group_has_removed_joins_anew_and_reads_on()
    {
        var topic = await TopicAsync(partitions: 4, records: 0);
        using var cli = Cli.Start(silo, "consume", topic, "--group", group, "--follow");
        await StableAsync(members: 1);
        await ProduceAsync(topic, 0, 1);
        await cli.SeenAsync("0\n");

        var member = (await silo.GetAsync($"/groups/{group}")).GetProperty("members")[0].GetProperty("memberId").GetString();
        await silo.SendAsync(HttpMethod.Delete, $"/groups/{group}/members/{member}", null, System.Net.HttpStatusCode.NoContent);
        await ProduceAsync(topic, 100, 101);
        await cli.SeenAsync("100\n");
        await StableAsync(members: 1);
        await ProduceAsync(topic, 200, 201);
        await cli.SeenAsync("200\n");

        cli.Signal("INT");
        (await cli.EndAsync()).Fine();
    }

    [Fact]
    public async Task A_follower_waits_for_a_server_that_refuses_heartbeats_and_commits_for_a_moment()
    {
        var outage = new Outage();
        await using var own = await TestSilo.StartAsync(services: services => services.AddSingleton<Microsoft.AspNetCore.Hosting.IStartupFilter>(outage));
        var topic = await own.CreateTopicAsync();
        await own.PostAsync($"/topics/{topic}/records", new { value = "before" });
        using var cli = Cli.Start(own, "consume", topic, "--group", group, "--follow");
        await cli.SeenAsync("before\n");

        outage.Begin(requests: 2);
        await outage.Over.WaitAsync(TimeSpan.FromSeconds(60));
        await own.PostAsync($"/topics/{topic}/records", new { value = "after" });
        await cli.SeenAsync("after\n");

        cli.Signal("INT");
        (await cli.EndAsync()).Fine();
        (await own.GetAsync($"/groups/{group}/offsets")).GetProperty("offsets")[0].GetProperty("offset").GetInt64().ShouldBe(2);
    }

    private async Task<Cli.Result> ConsumeAsync(string topic, params string[] options) =>
        (await Cli.RunAsync(silo, [.. new[] { "consume", topic, "--group", group }, .. options])).Fine();

    private async Task<string> TopicAsync(int partitions, int records)
    {
        // Its records are of 1970, and would go by the next round of retention.
        var topic = await silo.CreateTopicAsync(partitions, new() { ["retention.ms"] = -1 });
        if (records > 0)
        {
            await ProduceAsync(topic, 0, records, partitions);
        }

        return topic;
    }

    private Task ProduceAsync(string topic, int from, int to, int partitions = 2) => silo.PostAsync(
        $"/topics/{topic}/records",
        new { records = Enumerable.Range(from, to - from).Select(i => new { value = $"{i}", partition = i % partitions, timestamp = i / 2 * 1000 }) });

    /// <summary>Asks until the group has so many members and every one owns its share.</summary>
    private async Task StableAsync(int members)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (true)
        {
            using var response = await silo.Http.GetAsync(new Uri($"/groups/{group}", UriKind.Relative), timeout.Token);
            if (response.IsSuccessStatusCode)
            {
                var description = JsonDocument.Parse(await response.Content.ReadAsStringAsync(timeout.Token)).RootElement;
                if (description.GetProperty("state").GetString() == "Stable" && description.GetProperty("members").GetArrayLength() == members
                    && description.GetProperty("members").EnumerateArray().Sum(member => member.GetProperty("owned").GetArrayLength()) == 4)
                {
                    return;
                }
            }
        }
    }

    /// <summary>Answers the next requests of members as a server does whose silos come up again.</summary>
    private sealed class Outage : Microsoft.AspNetCore.Hosting.IStartupFilter
    {
        private readonly TaskCompletionSource over = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int left;

        public Task Over => over.Task;

        public void Begin(int requests) => Volatile.Write(ref left, requests);

        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use(async (http, then) =>
            {
                if (!http.Request.Path.StartsWithSegments("/groups", StringComparison.Ordinal) || Volatile.Read(ref left) == 0)
                {
                    await then(http);
                    return;
                }

                if (Interlocked.Decrement(ref left) == 0)
                {
                    over.SetResult();
                }

                http.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
                await http.Response.WriteAsJsonAsync(new { code = "CoordinatorNotAvailable", detail = "The group's silo is coming up.", retriable = true });
            });
            next(app);
        };
    }
}
