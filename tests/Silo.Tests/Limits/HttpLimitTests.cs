using System.Net;
using System.Net.Http.Headers;
using System.Text;

namespace OrleansStreams.Silo.Tests.Limits;

/// <summary>What happens at each limit of the HTTP API.</summary>
public sealed class HttpLimitTests(HttpLimitTests.NarrowSilo narrow) : IClassFixture<HttpLimitTests.NarrowSilo>
{
    private readonly TestSilo _silo = narrow.Silo;

    [Fact]
    [Limit("limits:http-body-bytes")]
    public async Task A_body_that_is_too_large_is_refused_and_nothing_is_written()
    {
        var topic = await _silo.CreateTopicAsync();
        await _silo.RefusedAsync(HttpMethod.Post, $"/topics/{topic}/records", new { value = new string('x', 3000) }, StreamsErrorCode.RecordTooLarge, HttpStatusCode.RequestEntityTooLarge);
        (await _silo.HighWatermarkAsync(topic)).ShouldBe(0);
    }

    [Fact]
    [Limit("limits:http-batch-records")]
    public async Task A_batch_with_too_many_records_is_refused_and_nothing_is_written()
    {
        var topic = await _silo.CreateTopicAsync();
        var problem = await _silo.RefusedAsync(
            HttpMethod.Post, $"/topics/{topic}/records", new { records = Enumerable.Range(0, 6).Select(i => new { value = $"{i}" }) }, StreamsErrorCode.RecordTooLarge);
        problem.GetProperty("detail").GetString()!.ShouldContain("5 are the most");
        (await _silo.HighWatermarkAsync(topic)).ShouldBe(0);
    }

    [Fact]
    [Limit("limits:http-line-bytes")]
    public async Task A_line_that_is_too_long_ends_the_stream_after_what_came_before()
    {
        var topic = await _silo.CreateTopicAsync();
        using var lines = Lines($"{{\"value\":\"short\"}}\n{{\"value\":\"{new string('x', 600)}\"}}\n");
        var problem = await _silo.RefusedAsync(HttpMethod.Post, $"/topics/{topic}/records", lines, StreamsErrorCode.RecordTooLarge);
        problem.GetProperty("delivered").GetInt64().ShouldBe(1);
        (await _silo.HighWatermarkAsync(topic)).ShouldBe(1);
    }

    [Fact]
    [Limit("limits:http-pending-records")]
    public async Task A_stream_with_more_records_than_may_be_under_way_is_slowed_down_and_taken_whole()
    {
        var topic = await _silo.CreateTopicAsync();
        using var lines = Lines(string.Concat(Enumerable.Range(0, 100).Select(i => $"{{\"value\":\"{i}\"}}\n")));
        (await _silo.SendAsync(HttpMethod.Post, $"/topics/{topic}/records", lines, HttpStatusCode.OK)).GetProperty("records").GetInt64().ShouldBe(100);
        (await _silo.HighWatermarkAsync(topic)).ShouldBe(100);
    }

    [Fact]
    [Limit("limits:http-fetch-records")]
    public async Task A_fetch_of_more_records_than_the_bound_is_refused()
    {
        var topic = await _silo.CreateTopicAsync();
        var problem = await _silo.RefusedAsync(HttpMethod.Get, $"/topics/{topic}/records?partition=0&limit=8", null, StreamsErrorCode.InvalidRequest);
        problem.GetProperty("detail").GetString()!.ShouldContain("7");
    }

    [Fact]
    [Limit("limits:http-fetch-bytes")]
    public async Task A_fetch_answers_fewer_records_when_their_batches_are_large()
    {
        var topic = await _silo.CreateTopicAsync();
        for (var i = 0; i < 5; i++)
        {
            await _silo.PostAsync($"/topics/{topic}/records", new { value = new string('x', 800) });
        }

        var page = await _silo.GetAsync($"/topics/{topic}/records?partition=0&limit=7");
        page.GetProperty("records").GetArrayLength().ShouldBeInRange(1, 3);
        page.GetProperty("nextOffset").GetInt64().ShouldBe(page.GetProperty("records").GetArrayLength());
    }

    [Fact]
    [Limit("limits:http-wait-ms")]
    public async Task A_longer_wait_than_the_bound_is_refused()
    {
        var topic = await _silo.CreateTopicAsync();
        var problem = await _silo.RefusedAsync(HttpMethod.Get, $"/topics/{topic}/records?partition=0&maxWaitMs=101", null, StreamsErrorCode.InvalidRequest);
        problem.GetProperty("detail").GetString()!.ShouldContain("100");
    }

    private static StringContent Lines(string text) => new(text, Encoding.UTF8, new MediaTypeHeaderValue("application/x-ndjson"));

    /// <summary>A silo with narrow bounds.</summary>
    public sealed class NarrowSilo : IAsyncLifetime
    {
        internal TestSilo Silo { get; private set; } = null!;

        public async Task InitializeAsync() => Silo = await TestSilo.StartAsync(options =>
        {
            (options.MaxBodyBytes, options.MaxBatchRecords, options.MaxLineBytes, options.MaxPendingRecords) = (2_000, 5, 500, 3);
            (options.MaxFetchRecords, options.MaxFetchBytes, options.MaxWaitMs) = (7, 1_500, 100);
        });

        public async Task DisposeAsync() => await Silo.DisposeAsync();
    }
}
