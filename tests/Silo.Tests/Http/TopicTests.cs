using System.Net;

namespace OrleansStreams.Silo.Tests.Http;

[Collection(SiloCollection.Name)]
public class TopicTests(SiloFixture fixture)
{
    private readonly TestSilo silo = fixture.Silo;

    [Fact]
    public async Task A_topic_is_created_listed_described_and_deleted()
    {
        var created = await silo.PostAsync(
            "/topics",
            new { name = "flights.raw", partitions = 3, config = new Dictionary<string, object> { ["retention.ms"] = "60000", ["message.timestamp.type"] = "LogAppendTime" } },
            HttpStatusCode.Created);
        created.GetProperty("partitions").GetArrayLength().ShouldBe(3);

        var listed = (await silo.GetAsync("/topics")).GetProperty("topics").EnumerateArray().Single(topic => topic.GetProperty("name").GetString() == "flights.raw");
        listed.GetProperty("partitions").GetInt32().ShouldBe(3);

        var described = await silo.GetAsync("/topics/flights.raw");
        described.GetProperty("topicId").GetString().ShouldBe(created.GetProperty("topicId").GetString());
        described.GetProperty("config").GetProperty("retention.ms").GetInt64().ShouldBe(60000);
        described.GetProperty("config").GetProperty("message.timestamp.type").GetString().ShouldBe("LogAppendTime");
        described.GetProperty("partitions")[2].GetProperty("highWatermark").GetInt64().ShouldBe(0);

        await silo.SendAsync(HttpMethod.Delete, "/topics/flights.raw", null, HttpStatusCode.NoContent);
        await silo.RefusedAsync(HttpMethod.Get, "/topics/flights.raw", null, StreamsErrorCode.UnknownTopicOrPartition);
        (await silo.GetAsync("/topics")).GetProperty("topics").EnumerateArray().ShouldNotContain(topic => topic.GetProperty("name").GetString() == "flights.raw");
    }

    [Fact]
    public async Task A_wrong_topic_is_refused_and_nothing_is_created()
    {
        var name = await silo.CreateTopicAsync();

        await silo.RefusedAsync(HttpMethod.Post, "/topics", new { name, partitions = 1 }, StreamsErrorCode.TopicAlreadyExists);
        await silo.RefusedAsync(HttpMethod.Post, "/topics", new { name = "no/slash", partitions = 1 }, StreamsErrorCode.InvalidTopic);
        await silo.RefusedAsync(HttpMethod.Post, "/topics", new { partitions = 1 }, StreamsErrorCode.InvalidTopic);
        await silo.RefusedAsync(HttpMethod.Post, "/topics", new { name = "wrong-1", partitions = 0 }, StreamsErrorCode.InvalidPartitions);
        var config = await silo.RefusedAsync(
            HttpMethod.Post, "/topics", """{"name":"wrong-1","config":{"retention.hours":1}}""", StreamsErrorCode.InvalidConfig);
        config.GetProperty("detail").GetString()!.ShouldContain("retention.ms");
        await silo.RefusedAsync(HttpMethod.Post, "/topics", """{"name":"wrong-1","config":{"retention.ms":"soon"}}""", StreamsErrorCode.InvalidConfig);
        var body = await silo.RefusedAsync(HttpMethod.Post, "/topics", """{"name":"wrong-1","partitions":"three"}""", StreamsErrorCode.InvalidRequest);
        body.GetProperty("detail").GetString()!.ShouldContain("$.partitions");
        await silo.RefusedAsync(HttpMethod.Post, "/topics", """{"name":"wrong-1","partition":3}""", StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Post, "/topics", """{"name":""", StreamsErrorCode.InvalidRequest);

        await silo.RefusedAsync(HttpMethod.Get, "/topics/wrong-1", null, StreamsErrorCode.UnknownTopicOrPartition);
    }

    [Fact]
    public async Task A_body_that_is_not_declared_as_JSON_is_refused()
    {
        using var form = new FormUrlEncodedContent([new("name", "x")]);

        var problem = await silo.RefusedAsync(HttpMethod.Post, "/topics", form, StreamsErrorCode.InvalidRequest, HttpStatusCode.UnsupportedMediaType);

        problem.GetProperty("detail").GetString()!.ShouldContain("Content-Type: application/json");
    }

    [Fact]
    public async Task Partitions_and_configuration_can_be_changed()
    {
        var topic = await silo.CreateTopicAsync(2);

        var changed = await silo.SendAsync(
            HttpMethod.Patch, $"/topics/{topic}", new { partitions = 4, config = new Dictionary<string, object> { ["retention.bytes"] = 1000000 } }, HttpStatusCode.OK);

        changed.GetProperty("partitions").GetArrayLength().ShouldBe(4);
        changed.GetProperty("config").GetProperty("retention.bytes").GetInt64().ShouldBe(1000000);
        await silo.RefusedAsync(HttpMethod.Patch, $"/topics/{topic}", new { partitions = 3 }, StreamsErrorCode.InvalidPartitions);
        await silo.RefusedAsync(HttpMethod.Patch, $"/topics/{topic}", "{}", StreamsErrorCode.InvalidRequest);
        (await silo.GetAsync($"/topics/{topic}")).GetProperty("partitions").GetArrayLength().ShouldBe(4);
    }

    [Fact]
    public async Task A_change_is_made_as_a_whole_or_not_at_all()
    {
        var topic = await silo.CreateTopicAsync(2);

        await silo.RefusedAsync(HttpMethod.Patch, $"/topics/{topic}", """{"partitions":4,"config":{"segment.bytes":-5}}""", StreamsErrorCode.InvalidConfig);
        await silo.RefusedAsync(HttpMethod.Patch, $"/topics/{topic}", """{"partitions":1,"config":{"retention.bytes":5}}""", StreamsErrorCode.InvalidPartitions);

        var now = await silo.GetAsync($"/topics/{topic}");
        now.GetProperty("partitions").GetArrayLength().ShouldBe(2);
        now.GetProperty("config").GetProperty("retention.bytes").GetInt64().ShouldBe(-1);
    }

    [Fact]
    public async Task Changes_of_different_values_at_once_are_all_made()
    {
        var topic = await silo.CreateTopicAsync();
        for (var round = 1; round <= 20; round++)
        {
            var values = new Dictionary<string, long> { ["retention.ms"] = 1_000_000 + round, ["retention.bytes"] = 2_000_000 + round, ["segment.bytes"] = 3_000_000 + round, ["max.message.bytes"] = 4_000 + round };

            await Task.WhenAll(values.Select(value => silo.SendAsync(
                HttpMethod.Patch, $"/topics/{topic}", new { config = new Dictionary<string, long> { [value.Key] = value.Value } }, HttpStatusCode.OK)));

            var config = (await silo.GetAsync($"/topics/{topic}")).GetProperty("config");
            values.ShouldAllBe(value => config.GetProperty(value.Key).GetInt64() == value.Value);
        }
    }

    [Fact]
    public async Task Records_below_an_offset_can_be_deleted()
    {
        var topic = await silo.CreateTopicAsync();
        await silo.PostAsync($"/topics/{topic}/records", new { records = Enumerable.Range(0, 10).Select(i => new { value = $"{i}" }) });

        var answer = await silo.SendAsync(HttpMethod.Delete, $"/topics/{topic}/partitions/0/records?before=4", null, HttpStatusCode.OK);

        answer.GetProperty("logStartOffset").GetInt64().ShouldBe(4);
        await silo.RefusedAsync(HttpMethod.Get, $"/topics/{topic}/records?partition=0&offset=3", null, StreamsErrorCode.OffsetOutOfRange);
        (await silo.GetAsync($"/topics/{topic}/records?partition=0")).GetProperty("records")[0].GetProperty("value").GetString().ShouldBe("4");
        await silo.RefusedAsync(HttpMethod.Delete, $"/topics/{topic}/partitions/0/records?before=11", null, StreamsErrorCode.OffsetOutOfRange);
        await silo.RefusedAsync(HttpMethod.Delete, $"/topics/{topic}/partitions/0/records?before=-1", null, StreamsErrorCode.OffsetOutOfRange);
        await silo.RefusedAsync(HttpMethod.Delete, $"/topics/{topic}/partitions/0/records", null, StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Delete, $"/topics/{topic}/partitions/x/records?before=1", null, StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Delete, $"/topics/{topic}/partitions/1/records?before=1", null, StreamsErrorCode.UnknownTopicOrPartition);

        (await silo.SendAsync(HttpMethod.Delete, $"/topics/{topic}/partitions/0/records?before=latest", null, HttpStatusCode.OK))
            .GetProperty("logStartOffset").GetInt64().ShouldBe(10);
    }

    [Theory]
    [InlineData("GET", "/topics/%20", StreamsErrorCode.UnknownTopicOrPartition)]
    [InlineData("DELETE", "/topics/%20", StreamsErrorCode.UnknownTopicOrPartition)]
    [InlineData("GET", "/topics/%09/records?partition=0", StreamsErrorCode.UnknownTopicOrPartition)]
    [InlineData("GET", "/topics/%20/tail", StreamsErrorCode.UnknownTopicOrPartition)]
    [InlineData("GET", "/groups/%20", StreamsErrorCode.InvalidRequest)]
    [InlineData("GET", "/apps/%20", StreamsErrorCode.ApplicationNotFound)]
    [InlineData("GET", "/apps/%20/stores/s?key=k", StreamsErrorCode.ApplicationNotFound)]
    public async Task A_blank_name_in_a_path_is_refused_as_what_it_would_name(string method, string path, StreamsErrorCode code) =>
        await silo.RefusedAsync(new HttpMethod(method), path, null, code);

    [Fact]
    public async Task A_blank_name_of_a_new_topic_is_refused()
    {
        await silo.RefusedAsync(HttpMethod.Post, "/topics", new { name = " " }, StreamsErrorCode.InvalidTopic);
        var client = silo.Services.GetRequiredService<OrleansStreams.Clients.StreamsClient>();
        (await Should.ThrowAsync<StreamsException>(() => client.Admin.CreateTopicAsync(" ", 1))).Code.ShouldBe(StreamsErrorCode.InvalidTopic);
        (await Should.ThrowAsync<StreamsException>(() => client.Admin.DescribeGroupAsync("\t"))).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
        (await Should.ThrowAsync<StreamsException>(() => client.Applications.StopAsync(""))).Code.ShouldBe(StreamsErrorCode.ApplicationNotFound);
    }

    [Fact]
    public async Task Every_configuration_value_is_shown_and_can_be_set_as_text_or_as_a_number()
    {
        var topic = await silo.CreateTopicAsync();
        var values = new Dictionary<string, object>
        {
            ["cleanup.policy"] = "delete, compact", ["retention.ms"] = "1", ["retention.bytes"] = 2, ["segment.bytes"] = 3000, ["segment.ms"] = "4", ["max.message.bytes"] = 5000,
            ["message.timestamp.type"] = "LogAppendTime", ["delete.retention.ms"] = 6, ["min.compaction.lag.ms"] = 7, ["max.compaction.lag.ms"] = "8",
            ["min.cleanable.dirty.ratio"] = 0.25, ["dedup.window.ms"] = 9, ["dedup.keys.max"] = "10",
        };
        var changed = await silo.SendAsync(HttpMethod.Patch, $"/topics/{topic}", new { config = values }, HttpStatusCode.OK);
        var shown = changed.GetProperty("config").EnumerateObject().ToDictionary(value => value.Name, value => value.Value.ToString());
        values["cleanup.policy"] = "compact,delete";
        shown.ShouldBe(values.ToDictionary(value => value.Key, value => Convert.ToString(value.Value, System.Globalization.CultureInfo.InvariantCulture)!), ignoreOrder: true);

        var unknown = await silo.RefusedAsync(HttpMethod.Patch, $"/topics/{topic}", """{"config":{"retention.hours":1}}""", StreamsErrorCode.InvalidConfig);
        values.Keys.ShouldAllBe(name => unknown.GetProperty("detail").GetString()!.Contains(name));
        foreach (var wrong in new[] { """{"cleanup.policy":"keep"}""", """{"cleanup.policy":3}""", """{"min.cleanable.dirty.ratio":"half"}""", """{"min.cleanable.dirty.ratio":2}""", """{"segment.ms":0}""" })
        {
            var problem = await silo.RefusedAsync(HttpMethod.Patch, $"/topics/{topic}", $$"""{"config":{{wrong}}}""", StreamsErrorCode.InvalidConfig);
            problem.GetProperty("detail").GetString()!.ShouldContain(wrong.Split('"')[1]);
        }
    }
}
