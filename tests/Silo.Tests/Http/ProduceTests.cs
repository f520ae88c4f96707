using System.Net;
using System.Text;
using System.Text.Json;

namespace OrleansStreams.Silo.Tests.Http;

[Collection(SiloCollection.Name)]
public class ProduceTests(SiloFixture fixture)
{
    private readonly TestSilo silo = fixture.Silo;

    [Fact]
    public async Task One_record_is_answered_with_its_place()
    {
        var topic = await silo.CreateTopicAsync();

        var answer = await silo.PostAsync($"/topics/{topic}/records", new { key = "a", value = "1", timestamp = 1234567890123 });

        answer.GetArrayLength().ShouldBe(1);
        answer[0].GetProperty("partition").GetInt32().ShouldBe(0);
        answer[0].GetProperty("offset").GetInt64().ShouldBe(0);
        answer[0].GetProperty("timestamp").GetInt64().ShouldBe(1234567890123);
    }

    [Fact]
    public async Task A_batch_keeps_its_order_and_a_key_its_partition()
    {
        var topic = await silo.CreateTopicAsync(4);

        var answer = await silo.PostAsync($"/topics/{topic}/records", new { records = Enumerable.Range(0, 200).Select(i => new { key = $"k{i % 10}", value = $"{i}" }) });

        answer.GetArrayLength().ShouldBe(200);
        var places = answer.EnumerateArray().Select((place, i) => (Key: i % 10, Partition: place.GetProperty("partition").GetInt32(), Offset: place.GetProperty("offset").GetInt64())).ToArray();
        foreach (var key in places.GroupBy(place => place.Key))
        {
            key.Select(place => place.Partition).Distinct().Count().ShouldBe(1);
            key.Select(place => place.Offset).ShouldBeInOrder();
        }

        places.GroupBy(place => place.Partition).ShouldAllBe(partition => partition.Select(place => place.Offset).Order().SequenceEqual(Enumerable.Range(0, partition.Count()).Select(i => (long)i)));
    }

    [Fact]
    public async Task A_record_comes_back_as_it_was_sent()
    {
        var topic = await silo.CreateTopicAsync();
        const string record = """{"key":"//8=","keyEncoding":"base64","value":{"a":[1,2]},"headers":[{"key":"h","value":"1"},{"key":"h","value":null}],"timestamp":"2001-01-01T00:00:00Z"}""";

        await silo.PostAsync($"/topics/{topic}/records", new StringContent(record, Encoding.UTF8, "application/json"));

        var read = (await silo.GetAsync($"/topics/{topic}/records?partition=0&encoding=json")).GetProperty("records")[0];
        read.GetRawText().ShouldBe(
            """{"partition":0,"offset":0,"timestamp":978307200000,"key":"//8=","keyEncoding":"base64","value":{"a":[1,2]},"valueEncoding":"json","headers":[{"key":"h","value":"1"},{"key":"h","value":null}]}""");
        await silo.PostAsync($"/topics/{topic}/records", new StringContent(read.GetRawText(), Encoding.UTF8, "application/json"));
        var again = (await silo.GetAsync($"/topics/{topic}/records?partition=0&encoding=json&offset=1")).GetProperty("records")[0];
        JsonElement.DeepEquals(again.GetProperty("value"), read.GetProperty("value")).ShouldBeTrue();
    }

    [Fact]
    public async Task With_acks_none_nothing_is_waited_for()
    {
        var topic = await silo.CreateTopicAsync();

        var answer = await silo.PostAsync($"/topics/{topic}/records?acks=none", new { value = "1" }, HttpStatusCode.Accepted);

        answer[0].GetProperty("offset").GetInt64().ShouldBe(-1);
        var read = await silo.GetAsync($"/topics/{topic}/records?partition=0&maxWaitMs=10000");
        read.GetProperty("records").GetArrayLength().ShouldBe(1);
        await silo.RefusedAsync(HttpMethod.Post, $"/topics/{topic}/records?acks=2", new { value = "1" }, StreamsErrorCode.InvalidRequest);
    }

    [Fact]
    public async Task A_batch_with_one_wrong_record_is_refused_as_a_whole()
    {
        var topic = await silo.CreateTopicAsync(2, new() { ["max.message.bytes"] = 1000 });
        object fine = new { value = "fine" };

        var partition = await silo.RefusedAsync(HttpMethod.Post, $"/topics/{topic}/records", new { records = new[] { fine, new { value = "x", partition = 2 } } }, StreamsErrorCode.UnknownTopicOrPartition);
        partition.GetProperty("index").GetInt32().ShouldBe(1);
        partition.GetProperty("outcome").GetString().ShouldBe("notWritten");
        var large = await silo.RefusedAsync(
            HttpMethod.Post, $"/topics/{topic}/records", new { records = new[] { fine, fine, new { value = new string('x', 1000) } } }, StreamsErrorCode.RecordTooLarge);
        large.GetProperty("index").GetInt32().ShouldBe(2);
        large.GetProperty("detail").GetString()!.ShouldContain("max.message.bytes");
        var field = await silo.RefusedAsync(HttpMethod.Post, $"/topics/{topic}/records", new { records = new[] { fine, new { vaule = "x" } } }, StreamsErrorCode.InvalidRequest);
        field.GetProperty("detail").GetString()!.ShouldContain("records[1]");
        await silo.RefusedAsync(HttpMethod.Post, $"/topics/{topic}/records", new { records = Array.Empty<object>() }, StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Post, $"/topics/{topic}/records", "{\"value\": ", StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Post, $"/topics/{topic}/records", "[1]", StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Post, "/topics/nowhere/records", fine, StreamsErrorCode.UnknownTopicOrPartition);

        (await silo.HighWatermarkAsync(topic, 0)).ShouldBe(0);
        (await silo.HighWatermarkAsync(topic, 1)).ShouldBe(0);
    }

    [Fact]
    public async Task Small_records_never_become_a_batch_that_the_topic_refuses()
    {
        var topic = await silo.CreateTopicAsync(1, new() { ["max.message.bytes"] = 1000 });

        var answer = await silo.PostAsync($"/topics/{topic}/records", new { records = Enumerable.Range(0, 500).Select(i => new { value = $"value {i}" }) });

        answer.EnumerateArray().Select(place => place.GetProperty("offset").GetInt64()).ShouldBe(Enumerable.Range(0, 500).Select(i => (long)i));
    }

    [Fact]
    public async Task Requests_past_the_limits_are_answered_413()
    {
        await using var small = await TestSilo.StartAsync(options => (options.MaxBodyBytes, options.MaxBatchRecords, options.MaxLineBytes) = (20_000, 10, 1_000));
        var topic = await small.CreateTopicAsync();

        await small.RefusedAsync(HttpMethod.Post, $"/topics/{topic}/records", new { value = new string('x', 20_000) }, StreamsErrorCode.RecordTooLarge, HttpStatusCode.RequestEntityTooLarge);
        var chunked = new StreamContent(new MemoryStream(Encoding.UTF8.GetBytes($$"""{"value":"{{new string('x', 30_000)}}"}""")));
        chunked.Headers.ContentType = new("application/json");
        using (var request = new HttpRequestMessage(HttpMethod.Post, $"/topics/{topic}/records") { Content = chunked })
        {
            // Without a Content-Length the server finds out while it reads.
            request.Headers.TransferEncodingChunked = true;
            using var response = await small.Http.SendAsync(request);
            response.StatusCode.ShouldBe(HttpStatusCode.RequestEntityTooLarge);
            (await response.Content.ReadAsStringAsync()).ShouldContain("\"code\":\"RecordTooLarge\"");
        }

        await small.RefusedAsync(
            HttpMethod.Post, $"/topics/{topic}/records", new { records = Enumerable.Repeat(new { value = 1 }, 11) }, StreamsErrorCode.RecordTooLarge, HttpStatusCode.RequestEntityTooLarge);
        var line = await small.RefusedAsync(
            HttpMethod.Post, $"/topics/{topic}/records", Lines("{\"value\":1}\n{\"value\":\"" + new string('x', 1_000) + "\"}\n"), StreamsErrorCode.RecordTooLarge);
        line.GetProperty("line").GetInt64().ShouldBe(2);
        line.GetProperty("delivered").GetInt64().ShouldBe(1);
        (await small.HighWatermarkAsync(topic)).ShouldBe(1);
    }

    [Fact]
    public async Task A_stream_of_lines_is_produced_in_order()
    {
        var topic = await silo.CreateTopicAsync();
        var body = string.Concat(Enumerable.Range(0, 20_000).Select(i => $$"""{"value":"{{i}}"}{{(i % 2 == 0 ? "\n" : "\r\n\r\n")}}"""));

        var answer = await silo.PostAsync($"/topics/{topic}/records", Lines(body));

        answer.GetProperty("records").GetInt64().ShouldBe(20_000);
        var partition = answer.GetProperty("partitions")[0];
        (partition.GetProperty("firstOffset").GetInt64(), partition.GetProperty("lastOffset").GetInt64()).ShouldBe((0, 19_999));
        var read = await silo.GetAsync($"/topics/{topic}/records?partition=0&limit=10000&offset=10000");
        read.GetProperty("records").EnumerateArray().Select(record => record.GetProperty("value").GetString())
            .ShouldBe(Enumerable.Range(10_000, read.GetProperty("records").GetArrayLength()).Select(i => $"{i}"));
    }

    [Theory]
    [InlineData("{\"value\":3", "Line 3", StreamsErrorCode.InvalidRequest)]
    [InlineData("{\"vaule\":3}", "'vaule'", StreamsErrorCode.InvalidRequest)]
    [InlineData("{\"value\":3,\"partition\":7}", "no partition 7", StreamsErrorCode.UnknownTopicOrPartition)]
    public async Task A_wrong_line_of_a_stream_is_named_and_the_lines_before_it_are_written(string wrong, string expected, StreamsErrorCode code)
    {
        var topic = await silo.CreateTopicAsync();

        var problem = await silo.RefusedAsync(HttpMethod.Post, $"/topics/{topic}/records", Lines($"{{\"value\":1}}\n{{\"value\":2}}\n{wrong}\n{{\"value\":4}}\n"), code);

        problem.GetProperty("line").GetInt64().ShouldBe(3);
        problem.GetProperty("delivered").GetInt64().ShouldBe(2);
        problem.GetProperty("detail").GetString()!.ShouldContain(expected);
        (await silo.HighWatermarkAsync(topic)).ShouldBe(2);
    }

    [Fact]
    public async Task Records_of_many_requests_at_once_are_each_written_once()
    {
        var topic = await silo.CreateTopicAsync();

        var answers = await Task.WhenAll(Enumerable.Range(0, 200).Select(i => silo.PostAsync($"/topics/{topic}/records", new { value = $"{i}" })));

        answers.Select(answer => answer[0].GetProperty("offset").GetInt64()).Order().ShouldBe(Enumerable.Range(0, 200).Select(i => (long)i));
        var read = await silo.GetAsync($"/topics/{topic}/records?partition=0&limit=1000");
        read.GetProperty("records").EnumerateArray().Select(record => int.Parse(record.GetProperty("value").GetString()!)).Order().ShouldBe(Enumerable.Range(0, 200));
    }

    [Fact]
    public async Task The_shared_producer_notices_new_partitions_and_a_topic_made_anew()
    {
        var topic = await silo.CreateTopicAsync();
        await silo.PostAsync($"/topics/{topic}/records", new { value = "1" });

        await silo.SendAsync(HttpMethod.Patch, $"/topics/{topic}", new { partitions = 3 }, HttpStatusCode.OK);
        (await silo.PostAsync($"/topics/{topic}/records", new { value = "2", partition = 2 }))[0].GetProperty("offset").GetInt64().ShouldBe(0);

        await silo.SendAsync(HttpMethod.Delete, $"/topics/{topic}", null, HttpStatusCode.NoContent);
        await silo.RefusedAsync(HttpMethod.Post, $"/topics/{topic}/records", new { value = "3" }, StreamsErrorCode.UnknownTopicOrPartition);
        await silo.PostAsync("/topics", new { name = topic, partitions = 1 }, HttpStatusCode.Created);
        (await silo.PostAsync($"/topics/{topic}/records", new { value = "4" }))[0].GetProperty("offset").GetInt64().ShouldBe(0);
    }

    private static StringContent Lines(string text) => new(text, Encoding.UTF8, "application/x-ndjson");

    [Theory]
    [InlineData("{\"value\":\"\\ud800\"}")]
    [InlineData("{\"\\ud800\":1,\"value\":1}")]
    [InlineData("{\"value\":1,\"headers\":{\"\\udc00\":\"a\"}}")]
    [InlineData("{\"value\":{\"a\":\"\u00ff\"}}")]
    [InlineData("{\"value\":\"\u00ff\"}")]
    [InlineData("{\"\u00ff\":1}")]
    public async Task Text_that_is_not_Unicode_is_refused_with_the_line(string record)
    {
        var topic = await silo.CreateTopicAsync();

        // Latin-1 makes the letter \u00ff a byte that UTF-8 never has.
        var lines = new ByteArrayContent(Encoding.Latin1.GetBytes("{\"value\":\"good\"}\n" + record + "\n"));
        lines.Headers.ContentType = new("application/x-ndjson");
        var problem = await silo.RefusedAsync(HttpMethod.Post, $"/topics/{topic}/records", lines, StreamsErrorCode.InvalidRequest);
        problem.GetProperty("line").GetInt64().ShouldBe(2);
        problem.GetProperty("delivered").GetInt64().ShouldBe(1);

        var single = new ByteArrayContent(Encoding.Latin1.GetBytes(record));
        single.Headers.ContentType = new("application/json");
        await silo.RefusedAsync(HttpMethod.Post, $"/topics/{topic}/records", single, StreamsErrorCode.InvalidRequest);
    }

    [Fact]
    public async Task A_batch_with_a_record_whose_headers_make_it_too_large_writes_nothing()
    {
        var topic = await silo.CreateTopicAsync(config: new() { ["max.message.bytes"] = 1024 });

        var problem = await silo.RefusedAsync(
            HttpMethod.Post,
            $"/topics/{topic}/records",
            new { records = new object[] { new { value = "small" }, new { value = "small", headers = new Dictionary<string, string> { ["trace"] = new('x', 1100) } } } },
            StreamsErrorCode.RecordTooLarge);

        problem.GetProperty("index").GetInt32().ShouldBe(1);
        problem.GetProperty("delivered").GetInt32().ShouldBe(0);
        (await silo.HighWatermarkAsync(topic)).ShouldBe(0);
    }

    [Fact]
    public async Task A_record_with_a_known_idempotency_key_is_answered_with_the_originals_offset_and_stored_once()
    {
        var topic = $"dedup-{Guid.NewGuid():n}";
        await silo.PostAsync("/topics", new { name = topic, partitions = 4, config = new Dictionary<string, object> { ["dedup.window.ms"] = 60000 } }, HttpStatusCode.Created);
        object Record(string key, long timestamp) => new { value = "v", timestamp, headers = new Dictionary<string, string> { ["idempotency-key"] = key } };

        var first = (await silo.PostAsync($"/topics/{topic}/records", Record("a", 5000)))[0];
        first.TryGetProperty("duplicate", out _).ShouldBeFalse();
        var both = await silo.PostAsync($"/topics/{topic}/records", new { records = new[] { Record("a", 6000), Record("b", 6000) } });
        both[0].GetProperty("duplicate").GetBoolean().ShouldBeTrue();
        (both[0].GetProperty("partition").GetInt32(), both[0].GetProperty("offset").GetInt64(), both[0].GetProperty("timestamp").GetInt64())
            .ShouldBe((first.GetProperty("partition").GetInt32(), first.GetProperty("offset").GetInt64(), 5000L), "it lands in the partition that knows it");
        both[1].TryGetProperty("duplicate", out _).ShouldBeFalse();

        var records = 0;
        for (var partition = 0; partition < 4; partition++)
        {
            records += (await silo.GetAsync($"/topics/{topic}/records?partition={partition}")).GetProperty("records").GetArrayLength();
        }

        records.ShouldBe(2);
    }
}
