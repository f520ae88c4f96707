using System.Net;
using System.Text;
using System.Text.Json;
using OrleansStreams.Processing;

namespace OrleansStreams.Silo.Tests.Http;

public sealed class ApplicationTests : IAsyncLifetime
{
    private const string App = StubApplications.Name;

    private TestSilo silo = null!;

    public async Task InitializeAsync() => silo = await TestSilo.StartAsync(services: StubApplications.Register);

    public async Task DisposeAsync() => await silo.DisposeAsync();

    [Fact]
    public async Task An_application_is_listed_started_and_stopped()
    {
        (await silo.GetAsync("/apps")).GetProperty("apps").GetRawText().ShouldBe("""[{"name":"stub-app","state":"Stopped","tasks":0}]""");

        var started = await silo.PostAsync($"/apps/{App}/start", new { parameters = new Dictionary<string, string> { ["grace"] = "1h" } });

        started.GetProperty("state").GetString().ShouldBe("Running");
        started.GetProperty("parameters").GetProperty("grace").GetString().ShouldBe("1h");
        (await silo.GetAsync("/apps")).GetProperty("apps")[0].GetProperty("tasks").GetInt32().ShouldBe(3);
        await silo.RefusedAsync(HttpMethod.Post, $"/apps/{App}/start", new { parameters = new { grace = "2h" } }, StreamsErrorCode.InvalidRequest);
        (await silo.SendAsync(HttpMethod.Post, $"/apps/{App}/stop", Empty(), HttpStatusCode.OK)).GetProperty("state").GetString().ShouldBe("Stopped");
        (await silo.SendAsync(HttpMethod.Post, $"/apps/{App}/start", Empty(), HttpStatusCode.OK)).GetProperty("state").GetString().ShouldBe("Running");
    }

    [Fact]
    public async Task The_status_sums_up_the_tasks_and_takes_the_smallest_watermark()
    {
        var status = await silo.PostAsync($"/apps/{App}/start", new { });

        status.GetProperty("watermark").GetString().ShouldBe("2001-01-01T02:00:00Z");
        status.GetProperty("lag").GetInt64().ShouldBe(8);
        status.GetProperty("recordsPerSecond").GetDouble().ShouldBe(13);
        status.GetProperty("lateRecords").GetInt64().ShouldBe(3);
        var tasks = status.GetProperty("tasks");
        tasks[0].GetProperty("watermark").GetString().ShouldBe("end");
        tasks[0].GetProperty("source").GetProperty("bytesTotal").GetInt64().ShouldBe(4096);
        tasks[1].GetProperty("source").ValueKind.ShouldBe(JsonValueKind.Null);
        tasks[2].GetProperty("watermark").GetString().ShouldBe("2001-01-01T02:00:00.001Z");
        tasks[2].GetProperty("error").GetString()!.ShouldContain("no number");
    }

    [Fact]
    public async Task A_store_is_read_by_key_and_window()
    {
        await silo.PostAsync($"/apps/{App}/start", new { });

        var all = await silo.GetAsync($"/apps/{App}/stores/delays?key=DTW");
        all.GetProperty("watermark").GetString().ShouldBe("2001-01-01T02:00:00Z");
        all.GetProperty("commit").GetInt64().ShouldBe(42);
        all.GetProperty("entries").EnumerateArray().Select(entry => (entry.GetProperty("windowStart").GetString(), entry.GetProperty("isFinal").GetBoolean()))
            .ShouldBe([("2001-01-01T00:00:00Z", true), ("2001-01-01T01:00:00Z", true), ("2001-01-01T02:00:00Z", false)]);
        all.GetProperty("entries")[0].GetRawText().ShouldBe(
            """{"windowStart":"2001-01-01T00:00:00Z","windowEnd":"2001-01-01T01:00:00Z","value":{"key":"DTW"},"isFinal":true}""");

        (await CountAsync("from=2001-01-01T01:00:00Z")).ShouldBe(2);
        (await CountAsync("from=978310800000&to=2001-01-01T02:00:00Z")).ShouldBe(1);
        (await CountAsync("limit=2")).ShouldBe(2);
        (await silo.GetAsync($"/apps/{App}/stores/delays?key=RFRX&keyEncoding=base64")).GetProperty("entries")[0].GetProperty("value").GetProperty("key").GetString().ShouldBe("DTW");

        async Task<int> CountAsync(string query) => (await silo.GetAsync($"/apps/{App}/stores/delays?key=a&{query}")).GetProperty("entries").GetArrayLength();
    }

    [Fact]
    public async Task A_plain_store_has_no_windows_and_bytes_come_as_base64()
    {
        await silo.PostAsync($"/apps/{App}/start", new { });

        var answer = await silo.GetAsync($"/apps/{App}/stores/plain?key=a");

        answer.GetProperty("watermark").ValueKind.ShouldBe(JsonValueKind.Null);
        answer.GetProperty("entries")[0].GetRawText().ShouldBe("""{"windowStart":null,"windowEnd":null,"value":"/wA=","isFinal":false,"valueEncoding":"base64"}""");
    }

    [Fact]
    public async Task A_wrong_question_is_refused()
    {
        await silo.RefusedAsync(HttpMethod.Get, $"/apps/{App}/stores/delays?key=a", null, StreamsErrorCode.ApplicationNotRunning);
        await silo.PostAsync($"/apps/{App}/start", new { });
        await silo.RefusedAsync(HttpMethod.Get, $"/apps/{App}/stores/nowhere?key=a", null, StreamsErrorCode.StoreNotFound);
        await silo.RefusedAsync(HttpMethod.Get, $"/apps/{App}/stores/delays", null, StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Get, $"/apps/{App}/stores/delays?key=%25&keyEncoding=base64", null, StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Get, $"/apps/{App}/stores/delays?key=a&from=noon", null, StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Get, $"/apps/{App}/stores/delays?key=a&from=2&to=1", null, StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Get, $"/apps/{App}/stores/delays?key=a&limit=0", null, StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Post, $"/apps/{App}/start", """{"parameters":{"a":null}}""", StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Get, "/apps/nobody", null, StreamsErrorCode.ApplicationNotFound);
        await silo.RefusedAsync(HttpMethod.Post, "/apps/nobody/start", Empty(), StreamsErrorCode.ApplicationNotFound);
        await silo.RefusedAsync(HttpMethod.Post, "/apps/nobody/stop", Empty(), StreamsErrorCode.ApplicationNotFound);
    }

    [Theory]
    [InlineData("start", null)]
    [InlineData("stop", null)]
    [InlineData("start", "text/plain", 415)]
    [InlineData("stop", "text/plain")]
    [InlineData("stop", "application/x-www-form-urlencoded")]
    public async Task What_a_strangers_web_page_can_post_starts_and_stops_nothing(string verb, string? contentType, int status = 400)
    {
        await silo.PostAsync($"/apps/{App}/start", new { });

        await silo.RefusedAsync(
            HttpMethod.Post, $"/apps/{App}/{verb}", contentType is null ? null : new StringContent("{}", Encoding.UTF8, contentType), StreamsErrorCode.InvalidRequest, (HttpStatusCode)status);

        (await silo.GetAsync($"/apps/{App}")).GetProperty("state").GetString().ShouldBe("Running");
    }

    [Theory]
    [InlineData("int64", "\u0000\u0000\u0000\u0000\u0000\u0000\u0000*", "42")]
    [InlineData("int32", "\u0000\u0000\u0000*", "42")]
    [InlineData("utf8", "12", "\"12\"")]
    [InlineData("json", "{\"a\":1}", "{\"a\":1}")]
    [InlineData("of-the-user", "[1]", "[1]")]
    [InlineData("of-the-user", "no json", "\"bm8ganNvbg==\"", "base64")]
    [InlineData("bytes", "12", "\"MTI=\"", "base64")]
    [InlineData("int64", "short", "\"c2hvcnQ=\"", "base64")]
    public async Task A_value_is_shown_as_its_stores_serde_means_it(string serde, string bytes, string shown, string? encoding = null)
    {
        await silo.PostAsync($"/apps/{App}/start", new { });

        var entry = (await silo.GetAsync($"/apps/{App}/stores/serde.{serde}?key={Uri.EscapeDataString(bytes)}")).GetProperty("entries")[0];

        entry.GetProperty("value").GetRawText().ShouldBe(shown);
        (entry.TryGetProperty("valueEncoding", out var told) ? told.GetString() : null).ShouldBe(encoding);
    }

    [Fact]
    public async Task Rows_of_a_store_are_read_by_ranges_with_what_each_partition_reflects()
    {
        var page = await silo.GetAsync($"/apps/{App}/stores/delays/rows?fromKey=a&toKey=b&limit=5&continuation=bmV4dA&atLeast=in:0:7&atLeast=in:1:9&waitMs=50");

        page.GetProperty("app").GetString().ShouldBe(App);
        page.GetProperty("partitions").GetRawText().ShouldBe("""[{"partition":0,"taskId":"1_0","watermark":"2001-01-01T02:00:00Z","commit":42}]""");
        var row = page.GetProperty("rows")[0];
        (row.GetProperty("key").GetString(), row.GetProperty("windowStart").ValueKind).ShouldBe(("a", JsonValueKind.Null));
        row.GetProperty("value").GetProperty("after").GetString().ShouldBe("next");
        row.GetProperty("value").GetProperty("atLeast").GetString()!.ShouldContain("Partition = 1, Offset = 9");
        (row.GetProperty("value").GetProperty("limit").GetInt32(), row.GetProperty("value").GetProperty("wait").GetInt32()).ShouldBe((5, 50));
        page.GetProperty("continuation").GetString().ShouldBe("bmV4dA");
        foreach (var wrong in (string[])["limit=0", "waitMs=30000", "atLeast=in:0", "continuation=%25", "from=2&to=1", "fromKey=a&keyEncoding=int64", "fromKey=a&keyEncoding=rot13"])
        {
            await silo.RefusedAsync(HttpMethod.Get, $"/apps/{App}/stores/delays/rows?{wrong}", null, StreamsErrorCode.InvalidRequest);
        }
    }

    [Fact]
    public async Task The_topology_comes_as_text_and_as_a_chart()
    {
        var topology = await silo.GetAsync($"/apps/{App}/topology");
        topology.GetProperty("text").GetString()!.ShouldStartWith("Sub-topology 0");
        topology.GetProperty("mermaid").GetString()!.ShouldStartWith("flowchart");
        await silo.RefusedAsync(HttpMethod.Get, "/apps/nobody/topology", null, StreamsErrorCode.ApplicationNotFound);
    }

    [Fact]
    public async Task An_application_is_paused_resumed_reset_and_dropped_and_takes_places_in_its_inputs()
    {
        await silo.PostAsync($"/apps/{App}/start", new { from = "7", to = "latest" });
        silo.Services.GetRequiredService<StubApplications>().LastStart.ShouldNotBeNull().From.ShouldBe(new StreamPosition(StreamPositionKind.Offset, 7));
        silo.Services.GetRequiredService<StubApplications>().LastStart!.To.ShouldBe(StreamPosition.Latest);
        (await silo.PostAsync($"/apps/{App}/pause", new { })).GetProperty("state").GetString().ShouldBe("Paused");
        (await silo.PostAsync($"/apps/{App}/resume", new { })).GetProperty("state").GetString().ShouldBe("Running");
        await silo.RefusedAsync(HttpMethod.Post, $"/apps/{App}/reset", new { to = "earliest" }, StreamsErrorCode.InvalidRequest);
        await silo.PostAsync($"/apps/{App}/stop", new { });
        var reset = await silo.RefusedAsync(HttpMethod.Post, $"/apps/{App}/reset", new { to = "timestamp:1970-01-01T00:00:01Z" }, StreamsErrorCode.InvalidInput);
        reset.GetProperty("detail").GetString().ShouldBe("reset to timestamp 1000", "the stub answers what it was asked");
        await silo.RefusedAsync(HttpMethod.Post, $"/apps/{App}/reset", new { to = "noon" }, StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Post, $"/apps/{App}/reset", new { to = "" }, StreamsErrorCode.InvalidRequest);
        await silo.SendAsync(HttpMethod.Delete, $"/apps/{App}", null, HttpStatusCode.NoContent);
        await silo.RefusedAsync(HttpMethod.Delete, "/apps/nobody", null, StreamsErrorCode.ApplicationNotFound);
    }

    [Fact]
    public async Task An_alias_that_cannot_be_one_is_refused()
    {
        await silo.RefusedAsync(HttpMethod.Put, "/aliases/serving", new { app = "nobody" }, StreamsErrorCode.ApplicationNotFound);
        await silo.RefusedAsync(HttpMethod.Put, "/aliases/serving", new { app = "" }, StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Put, $"/aliases/{App}", new { app = App }, StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Put, "/aliases/a%20b", new { app = App }, StreamsErrorCode.InvalidConfig);
        await silo.SendAsync(HttpMethod.Delete, "/aliases/serving", null, HttpStatusCode.NoContent);
        (await silo.GetAsync("/aliases")).GetArrayLength().ShouldBe(0);
        await silo.RefusedAsync(HttpMethod.Get, $"/apps/{App}/stores/delays/differences", null, StreamsErrorCode.InvalidRequest);
    }

    private static StringContent Empty() => new(string.Empty, Encoding.UTF8, "application/json");
}
