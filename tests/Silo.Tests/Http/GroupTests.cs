using System.Net;
using System.Text.Json;

namespace OrleansStreams.Silo.Tests.Http;

[Collection(SiloCollection.Name)]
public class GroupTests(SiloFixture fixture)
{
    private readonly TestSilo silo = fixture.Silo;
    private readonly string group = $"g-{Guid.NewGuid():N}";

    [Fact]
    public async Task A_member_joins_commits_and_leaves_and_the_lag_is_told()
    {
        var topic = await TopicWithRecordsAsync();
        var joined = await JoinAsync("m1", topic);
        joined.GetProperty("assigned").GetArrayLength().ShouldBe(2);
        var epoch = joined.GetProperty("memberEpoch").GetInt32();

        await CommitAsync("m1", epoch, topic, partition: 1, offset: 4);

        var described = await silo.GetAsync($"/groups/{group}");
        described.GetProperty("members")[0].GetProperty("memberId").GetString().ShouldBe("m1");
        var one = described.GetProperty("offsets").EnumerateArray().Single(offset => offset.GetProperty("partition").GetInt32() == 1);
        one.GetProperty("committedOffset").GetInt64().ShouldBe(4);
        one.GetProperty("highWatermark").GetInt64().ShouldBe(10);
        one.GetProperty("lag").GetInt64().ShouldBe(6);
        described.GetProperty("totalLag").GetInt64().ShouldBe(6);
        (await silo.GetAsync("/groups")).GetProperty("groups").EnumerateArray().Select(listed => listed.GetProperty("group").GetString()).ShouldContain(group);

        await silo.SendAsync(HttpMethod.Delete, $"/groups/{group}/members/m1", null, HttpStatusCode.NoContent);
        (await silo.GetAsync($"/groups/{group}")).GetProperty("members").GetArrayLength().ShouldBe(0);
        var offsets = (await silo.GetAsync($"/groups/{group}/offsets?topic={topic}")).GetProperty("offsets");
        offsets.GetArrayLength().ShouldBe(1);
        offsets[0].GetProperty("offset").GetInt64().ShouldBe(4);
    }

    [Fact]
    public async Task A_stale_member_cannot_commit()
    {
        var topic = await TopicWithRecordsAsync();
        var epoch = (await JoinAsync("m1", topic)).GetProperty("memberEpoch").GetInt32();
        await CommitAsync("m1", epoch, topic, 0, 5);

        await silo.RefusedAsync(HttpMethod.Post, $"/groups/{group}/offsets", Commit("m2", 1, topic, 0, 1), StreamsErrorCode.UnknownMemberId);
        await silo.RefusedAsync(HttpMethod.Post, $"/groups/{group}/offsets", Commit("m1", epoch + 7, topic, 0, 1), StreamsErrorCode.FencedMemberEpoch);
        await silo.RefusedAsync(HttpMethod.Post, $"/groups/{group}/offsets", Commit("m1", epoch, topic, 0, -1), StreamsErrorCode.OffsetOutOfRange);

        (await silo.GetAsync($"/groups/{group}/offsets")).GetProperty("offsets")[0].GetProperty("offset").GetInt64().ShouldBe(5);
    }

    [Fact]
    public async Task Offsets_are_reset_only_without_members_and_only_into_the_log()
    {
        var topic = await TopicWithRecordsAsync();
        await JoinAsync("m1", topic);
        var path = $"/groups/{group}/reset";
        await silo.RefusedAsync(HttpMethod.Post, path, new { topic, to = "latest" }, StreamsErrorCode.NonEmptyGroup);
        await silo.RefusedAsync(HttpMethod.Delete, $"/groups/{group}", null, StreamsErrorCode.NonEmptyGroup);
        await silo.SendAsync(HttpMethod.Delete, $"/groups/{group}/members/m1", null, HttpStatusCode.NoContent);

        (await ResetAsync(new { topic, to = "latest" })).ShouldBe([(0, 10), (1, 10)]);
        (await ResetAsync(new { topic, to = "earliest" })).ShouldBe([(0, 0), (1, 0)]);
        (await ResetAsync(new { topic, partition = 1, to = "offset", offset = 7 })).ShouldBe([(1, 7)]);
        (await ResetAsync(new { topic, to = "timestamp", timestamp = "1970-01-01T00:00:04Z" })).ShouldBe([(0, 4), (1, 4)]);
        await silo.RefusedAsync(HttpMethod.Post, path, new { topic, partition = 1, to = "offset", offset = 11 }, StreamsErrorCode.OffsetOutOfRange);
        await silo.RefusedAsync(HttpMethod.Post, path, new { topic, partition = 1, to = "offset", offset = -1 }, StreamsErrorCode.OffsetOutOfRange);
        await silo.RefusedAsync(HttpMethod.Post, path, new { topic, to = "offset", offset = 1 }, StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Post, path, new { topic, to = "timestamp" }, StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Post, path, new { topic, to = "middle" }, StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Post, path, new { to = "latest" }, StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Post, path, new { topic, partition = 2, to = "latest" }, StreamsErrorCode.UnknownTopicOrPartition);
        await silo.RefusedAsync(HttpMethod.Post, path, new { topic = "nowhere", to = "latest" }, StreamsErrorCode.UnknownTopicOrPartition);

        (await silo.GetAsync($"/groups/{group}/offsets")).GetProperty("offsets").EnumerateArray().Select(Place).ShouldBe([(0, 4), (1, 4)]);
        await silo.SendAsync(HttpMethod.Delete, $"/groups/{group}", null, HttpStatusCode.NoContent);
        await silo.RefusedAsync(HttpMethod.Get, $"/groups/{group}", null, StreamsErrorCode.GroupIdNotFound);

        async Task<(int, long)[]> ResetAsync(object body) => [.. (await silo.PostAsync(path, body)).GetProperty("offsets").EnumerateArray().Select(Place)];
        static (int, long) Place(JsonElement offset) => (offset.GetProperty("partition").GetInt32(), offset.GetProperty("offset").GetInt64());
    }

    [Fact]
    public async Task An_incomplete_heartbeat_or_commit_is_refused()
    {
        await silo.RefusedAsync(HttpMethod.Post, $"/groups/{group}/heartbeat", "{}", StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Post, $"/groups/{group}/heartbeat", """{"memberId":"m","memberEpoch":0,"topics":[]}""", StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Post, $"/groups/{group}/heartbeat", """{"memberId":"m","memberEpoch":0,"topics":["t"],"owned":[{"partition":1}]}""", StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Post, $"/groups/{group}/heartbeat", """{"memberId":"m","memberEpoch":0,"topics":["t"],"sessionTimeoutMs":1}""", StreamsErrorCode.InvalidSessionTimeout);
        await silo.RefusedAsync(HttpMethod.Post, $"/groups/{group}/offsets", """{"offsets":[]}""", StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Get, $"/groups/{group}", null, StreamsErrorCode.GroupIdNotFound);
    }

    private async Task<string> TopicWithRecordsAsync()
    {
        var topic = await silo.CreateTopicAsync(2);
        await silo.PostAsync($"/topics/{topic}/records", new { records = Enumerable.Range(0, 20).Select(i => new { value = i, partition = i % 2, timestamp = i / 2 * 1000 }) });
        return topic;
    }

    private Task<JsonElement> JoinAsync(string memberId, string topic) =>
        silo.PostAsync($"/groups/{group}/heartbeat", new { memberId, memberEpoch = 0, topics = new[] { topic } });

    private Task<JsonElement> CommitAsync(string memberId, int memberEpoch, string topic, int partition, long offset) =>
        silo.SendAsync(HttpMethod.Post, $"/groups/{group}/offsets", Commit(memberId, memberEpoch, topic, partition, offset), HttpStatusCode.NoContent);

    private static object Commit(string memberId, int memberEpoch, string topic, int partition, long offset) =>
        new { memberId, memberEpoch, offsets = new[] { new { topic, partition, offset } } };

    [Theory]
    [InlineData("heartbeat", """{"memberId":"m","topics":["TOPIC"]}""", "memberEpoch")]
    [InlineData("heartbeat", """{"memberId":"m","memberEpoch":null,"topics":["TOPIC"]}""", "memberEpoch")]
    [InlineData("heartbeat", """{"memberId":"m","memberEpoch":0,"topics":["TOPIC"],"owned":[{"topic":"TOPIC"}]}""", "partition number")]
    [InlineData("heartbeat", """{"memberId":"m","memberEpoch":0,"topics":[" "]}""", "topics")]
    [InlineData("offsets", """{"offsets":[{"topic":"TOPIC","partition":0}]}""", "offset")]
    [InlineData("offsets", """{"offsets":[{"topic":"TOPIC","offset":3}]}""", "partition")]
    [InlineData("offsets", """{"offsets":[{"topic":" ","partition":0,"offset":3}]}""", "topic")]
    [InlineData("reset", """{"topic":" ","to":"earliest"}""", "topic")]
    public async Task What_is_left_out_is_refused_and_not_taken_for_0(string path, string body, string named)
    {
        var topic = await TopicWithRecordsAsync();

        var problem = await silo.RefusedAsync(HttpMethod.Post, $"/groups/{group}/{path}", body.Replace("TOPIC", topic, StringComparison.Ordinal), StreamsErrorCode.InvalidRequest);

        problem.GetProperty("detail").GetString()!.ShouldContain(named);
        (await silo.GetAsync($"/groups/{group}/offsets")).GetProperty("offsets").GetArrayLength().ShouldBe(0);
    }
}
