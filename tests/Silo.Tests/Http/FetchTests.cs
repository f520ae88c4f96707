using System.Diagnostics;

namespace OrleansStreams.Silo.Tests.Http;

[Collection(SiloCollection.Name)]
public class FetchTests(SiloFixture fixture)
{
    private readonly TestSilo silo = fixture.Silo;

    [Fact]
    public async Task Pages_follow_one_another_without_gap_or_repeat()
    {
        var topic = await silo.CreateTopicAsync();
        await silo.PostAsync($"/topics/{topic}/records", new { records = Enumerable.Range(0, 105).Select(i => new { value = $"{i}" }) });

        var values = new List<string>();
        for (var offset = 0L; offset < 105;)
        {
            var page = await silo.GetAsync($"/topics/{topic}/records?partition=0&offset={offset}&limit=10");
            values.AddRange(page.GetProperty("records").EnumerateArray().Select(record => record.GetProperty("value").GetString()!));
            page.GetProperty("highWatermark").GetInt64().ShouldBe(105);
            page.GetProperty("logStartOffset").GetInt64().ShouldBe(0);
            offset = page.GetProperty("nextOffset").GetInt64();
            offset.ShouldBe(values.Count);
        }

        values.ShouldBe(Enumerable.Range(0, 105).Select(i => $"{i}"));
    }

    [Fact]
    public async Task A_start_may_be_earliest_latest_or_a_timestamp()
    {
        var topic = await silo.CreateTopicAsync();
        await silo.PostAsync($"/topics/{topic}/records", new { records = Enumerable.Range(0, 10).Select(i => new { value = $"{i}", timestamp = 1_000_000 + (i * 1000) }) });

        (await FirstAsync("earliest")).ShouldBe("0");
        (await FirstAsync("timestamp:1004500")).ShouldBe("5");
        (await FirstAsync("timestamp:1970-01-01T00:16:43Z")).ShouldBe("3");
        (await FirstAsync("latest")).ShouldBeNull();
        (await FirstAsync("timestamp:2001-01-01")).ShouldBeNull();

        async Task<string?> FirstAsync(string offset)
        {
            var page = await silo.GetAsync($"/topics/{topic}/records?partition=0&offset={offset}");
            return page.GetProperty("records").GetArrayLength() == 0 ? null : page.GetProperty("records")[0].GetProperty("value").GetString();
        }
    }

    [Fact]
    public async Task A_long_poll_answers_when_a_record_comes()
    {
        var topic = await silo.CreateTopicAsync();
        var clock = Stopwatch.StartNew();
        var polling = silo.GetAsync($"/topics/{topic}/records?partition=0&offset=latest&maxWaitMs=20000");

        // Produces until the poll has one, because nothing tells from outside that the poll has begun.
        while (!polling.IsCompleted)
        {
            await silo.PostAsync($"/topics/{topic}/records", new { value = "x" });
        }

        (await polling).GetProperty("records").GetArrayLength().ShouldBeGreaterThan(0);
        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(15));
    }

    [Fact]
    public async Task A_long_poll_without_records_answers_an_empty_page()
    {
        var topic = await silo.CreateTopicAsync();

        var page = await silo.GetAsync($"/topics/{topic}/records?partition=0&maxWaitMs=50");

        page.GetProperty("records").GetArrayLength().ShouldBe(0);
        page.GetProperty("nextOffset").GetInt64().ShouldBe(0);
    }

    [Theory]
    [InlineData("partition=0&offset=-1", StreamsErrorCode.OffsetOutOfRange)]
    [InlineData("partition=0&offset=2", StreamsErrorCode.OffsetOutOfRange)]
    [InlineData("partition=0&offset=first", StreamsErrorCode.InvalidRequest)]
    [InlineData("partition=0&offset=timestamp:now", StreamsErrorCode.InvalidRequest)]
    [InlineData("offset=0", StreamsErrorCode.InvalidRequest)]
    [InlineData("partition=-1", StreamsErrorCode.InvalidRequest)]
    [InlineData("partition=one", StreamsErrorCode.InvalidRequest)]
    [InlineData("partition=1", StreamsErrorCode.UnknownTopicOrPartition)]
    [InlineData("partition=0&limit=0", StreamsErrorCode.InvalidRequest)]
    [InlineData("partition=0&limit=10001", StreamsErrorCode.InvalidRequest)]
    [InlineData("partition=0&maxWaitMs=-1", StreamsErrorCode.InvalidRequest)]
    [InlineData("partition=0&encoding=hex", StreamsErrorCode.InvalidRequest)]
    public async Task A_wrong_question_is_refused_with_what_to_ask_instead(string query, StreamsErrorCode code)
    {
        var topic = await silo.CreateTopicAsync();
        await silo.PostAsync($"/topics/{topic}/records", new { value = "x" });

        await silo.RefusedAsync(HttpMethod.Get, $"/topics/{topic}/records?{query}", null, code);
    }

    [Fact]
    public async Task An_unknown_topic_is_refused() =>
        await silo.RefusedAsync(HttpMethod.Get, "/topics/nowhere/records?partition=0", null, StreamsErrorCode.UnknownTopicOrPartition);
}
