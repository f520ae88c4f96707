using System.Net;

namespace OrleansStreams.Silo.Tests.Http;

[Collection(SiloCollection.Name)]
public class TailTests(SiloFixture fixture)
{
    private readonly TestSilo silo = fixture.Silo;

    [Fact]
    public async Task Every_partition_is_followed_from_the_beginning_and_on()
    {
        var topic = await silo.CreateTopicAsync(3);
        await ProduceAsync(topic, 0, 30);

        await using var events = await EventStream.OpenAsync(silo, $"/topics/{topic}/tail?from=earliest");
        var values = new List<string>();
        while (values.Count < 30)
        {
            values.Add(await events.NextValueAsync());
        }

        values.Order().ShouldBe(Enumerable.Range(0, 30).Select(i => $"{i:000}"));
        await ProduceAsync(topic, 30, 40);
        while (values.Count < 40)
        {
            values.Add(await events.NextValueAsync());
        }

        values.Order().ShouldBe(Enumerable.Range(0, 40).Select(i => $"{i:000}"));
        events.LastEventId!.Split(',').Length.ShouldBe(3);
    }

    [Fact]
    public async Task Without_a_start_only_new_records_come()
    {
        var topic = await silo.CreateTopicAsync();
        await ProduceAsync(topic, 0, 5);
        await using var events = await EventStream.OpenAsync(silo, $"/topics/{topic}/tail");

        await ProduceAsync(topic, 5, 6);

        (await events.NextValueAsync()).ShouldBe("005");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(39)]
    public async Task A_stream_resumed_with_the_last_id_has_neither_gap_nor_repeat(int seenBefore)
    {
        var topic = await silo.CreateTopicAsync(4);
        await ProduceAsync(topic, 0, 40);
        var values = new List<string>();
        string? id;
        await using (var events = await EventStream.OpenAsync(silo, $"/topics/{topic}/tail?from=earliest"))
        {
            while (values.Count < seenBefore)
            {
                values.Add(await events.NextValueAsync());
            }

            id = events.LastEventId;
        }

        await ProduceAsync(topic, 40, 50);
        await using (var events = await EventStream.OpenAsync(silo, $"/topics/{topic}/tail", id))
        {
            while (values.Count < 50)
            {
                values.Add(await events.NextValueAsync());
            }
        }

        values.Order().ShouldBe(Enumerable.Range(0, 50).Select(i => $"{i:000}"));
    }

    [Fact]
    public async Task A_partition_added_between_two_streams_is_read_from_its_start_by_the_second()
    {
        var topic = await silo.CreateTopicAsync();
        string? id;
        await using (var events = await EventStream.OpenAsync(silo, $"/topics/{topic}/tail"))
        {
            id = events.LastEventId;
        }

        await silo.SendAsync(HttpMethod.Patch, $"/topics/{topic}", new { partitions = 2 }, HttpStatusCode.OK);
        await silo.PostAsync($"/topics/{topic}/records", new { value = "meanwhile", partition = 1 });

        await using var resumed = await EventStream.OpenAsync(silo, $"/topics/{topic}/tail", id);
        (await resumed.NextValueAsync()).ShouldBe("meanwhile");
    }

    [Fact]
    public async Task A_gap_that_retention_has_made_is_told()
    {
        var topic = await silo.CreateTopicAsync();
        await ProduceAsync(topic, 0, 10);
        await silo.SendAsync(HttpMethod.Delete, $"/topics/{topic}/partitions/0/records?before=6", null, HttpStatusCode.OK);

        await using var events = await EventStream.OpenAsync(silo, $"/topics/{topic}/tail", "0:2");

        var (name, gap) = (await events.NextAsync())!.Value;
        name.ShouldBe("gap");
        gap.GetRawText().ShouldBe("""{"partition":0,"from":2,"to":6}""");
        (await events.NextValueAsync()).ShouldBe("006");
    }

    [Fact]
    public async Task The_stream_ends_with_a_problem_when_it_cannot_go_on()
    {
        var topic = await silo.CreateTopicAsync();
        await using var beyond = await EventStream.OpenAsync(silo, $"/topics/{topic}/tail", "0:99");

        var (name, problem) = (await beyond.NextAsync())!.Value;

        name.ShouldBe("problem");
        problem.GetProperty("code").GetString().ShouldBe("OffsetOutOfRange");
        (await beyond.NextAsync()).ShouldBeNull();
    }

    [Fact]
    public async Task A_deleted_topic_ends_the_stream_with_a_problem()
    {
        await using var own = await TestSilo.StartAsync(options => options.TailKeepAlive = TimeSpan.FromMilliseconds(50));
        var topic = await own.CreateTopicAsync();
        await using var events = await EventStream.OpenAsync(own, $"/topics/{topic}/tail");

        await own.SendAsync(HttpMethod.Delete, $"/topics/{topic}", null, HttpStatusCode.NoContent);

        var (name, problem) = (await events.NextAsync())!.Value;
        name.ShouldBe("problem");
        problem.GetProperty("code").GetString().ShouldBe("UnknownTopicOrPartition");
    }

    [Fact]
    public async Task Partitions_added_later_are_followed_from_their_start()
    {
        await using var own = await TestSilo.StartAsync(options => options.TailKeepAlive = TimeSpan.FromMilliseconds(50));
        var topic = await own.CreateTopicAsync();
        await using var events = await EventStream.OpenAsync(own, $"/topics/{topic}/tail");

        await own.SendAsync(HttpMethod.Patch, $"/topics/{topic}", new { partitions = 2 }, HttpStatusCode.OK);
        await own.PostAsync($"/topics/{topic}/records", new { value = "new", partition = 1 });

        (await events.NextValueAsync()).ShouldBe("new");
        events.LastEventId.ShouldBe("0:0,1:1");
    }

    [Fact]
    public async Task A_stopping_server_ends_its_streams_and_long_polls_at_once()
    {
        var own = await TestSilo.StartAsync();
        await using var disposing = own;
        var topic = await own.CreateTopicAsync();
        await using var events = await EventStream.OpenAsync(own, $"/topics/{topic}/tail");

        // Far below the 30 s that the host would grant an open request.
        await own.StopAsync().WaitAsync(TimeSpan.FromSeconds(15));

        (await events.NextAsync()).ShouldBeNull();
    }

    [Theory]
    [InlineData("0:x")]
    [InlineData("0")]
    [InlineData("0:1,0:2")]
    [InlineData("5:0")]
    public async Task A_wrong_last_id_is_refused(string id)
    {
        var topic = await silo.CreateTopicAsync(2);
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/topics/{topic}/tail");
        request.Headers.Add("Last-Event-ID", id);

        using var response = await silo.Http.SendAsync(request);

        response.StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await response.Content.ReadAsStringAsync()).ShouldContain("Last-Event-ID");
    }

    [Fact]
    public async Task An_unknown_topic_or_start_is_refused()
    {
        await silo.RefusedAsync(HttpMethod.Get, "/topics/nowhere/tail", null, StreamsErrorCode.UnknownTopicOrPartition);
        await silo.RefusedAsync(HttpMethod.Get, "/topics/nowhere/tail?from=5", null, StreamsErrorCode.InvalidRequest);
    }

    private Task ProduceAsync(string topic, int from, int to) => silo.PostAsync(
        $"/topics/{topic}/records", new { records = Enumerable.Range(from, to - from).Select(i => new { key = $"{i}", value = $"{i:000}" }) });
}
