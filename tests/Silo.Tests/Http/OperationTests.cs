using System.Net;
using OrleansStreams.Silo.Http.Health;

namespace OrleansStreams.Silo.Tests.Http;

[Collection(SiloCollection.Name)]
public class OperationTests(SiloFixture fixture)
{
    private readonly TestSilo silo = fixture.Silo;

    [Fact]
    public async Task A_running_server_is_live_and_ready()
    {
        (await silo.GetAsync("/health/live")).GetProperty("status").GetString().ShouldBe("live");
        var ready = await silo.GetAsync("/health/ready");
        ready.GetProperty("status").GetString().ShouldBe("ready");
        ready.GetProperty("checks").EnumerateObject().Select(check => (check.Name, check.Value.GetString())).ShouldBe([("silo", "ok"), ("storage", "ok")]);
    }

    [Fact]
    public async Task A_failing_probe_makes_the_server_not_ready_and_says_why()
    {
        await using var broken = await TestSilo.StartAsync(services: services => services.AddSingleton<IReadinessProbe, BrokenProbe>());

        var answer = await broken.GetAsync("/health/ready", HttpStatusCode.ServiceUnavailable);

        answer.GetProperty("status").GetString().ShouldBe("not ready");
        answer.GetProperty("checks").GetProperty("disk").GetString().ShouldBe("The disk is gone.");
        await broken.GetAsync("/health/live");
    }

    [Fact]
    public async Task Metrics_are_Prometheus_text_of_version_0_0_4()
    {
        var topic = await silo.CreateTopicAsync();
        await silo.PostAsync($"/topics/{topic}/records", new { value = "counted" });
        using var response = await silo.Http.GetAsync(new Uri("/metrics", UriKind.Relative));

        response.Content.Headers.ContentType!.ToString().ShouldBe("text/plain; version=0.0.4; charset=utf-8");
        var text = await response.Content.ReadAsStringAsync();
        text.ShouldContain("# TYPE http_server_request_duration_seconds histogram\n");
        text.ShouldContain("\nstreams_produce_requests_total ");
        text.ShouldEndWith("\n");
        text.ShouldNotContain("\r");
    }

    [Fact]
    public async Task The_OpenAPI_document_names_every_resource_its_parameters_and_its_errors()
    {
        var document = await silo.GetAsync("/openapi/v1.json");

        var paths = document.GetProperty("paths");
        foreach (var path in new[]
        {
            "/topics", "/topics/{topic}", "/topics/{topic}/partitions/{partition}/records", "/topics/{topic}/records", "/topics/{topic}/tail", "/groups", "/groups/{group}",
            "/groups/{group}/reset", "/groups/{group}/heartbeat", "/groups/{group}/offsets", "/groups/{group}/members/{member}", "/apps", "/apps/{app}", "/apps/{app}/start",
            "/apps/{app}/stop", "/apps/{app}/stores/{store}", "/health/live", "/health/ready", "/metrics",
        })
        {
            paths.TryGetProperty(path, out _).ShouldBeTrue(path);
        }

        var fetch = paths.GetProperty("/topics/{topic}/records").GetProperty("get");
        fetch.GetProperty("parameters").EnumerateArray().Select(parameter => parameter.GetProperty("name").GetString())
            .ShouldBe(["topic", "partition", "offset", "limit", "maxWaitMs", "encoding"], ignoreOrder: true);
        fetch.GetProperty("responses").GetProperty("416").GetProperty("content").TryGetProperty("application/problem+json", out _).ShouldBeTrue();
    }

    [Fact]
    public async Task An_unknown_path_or_method_is_answered_with_a_problem()
    {
        await silo.RefusedAsync(HttpMethod.Get, "/nowhere", null, StreamsErrorCode.InvalidRequest, HttpStatusCode.NotFound);
        var method = await silo.RefusedAsync(HttpMethod.Put, "/topics", null, StreamsErrorCode.InvalidRequest, HttpStatusCode.MethodNotAllowed);
        method.GetProperty("detail").GetString()!.ShouldContain("GET");
    }

    private sealed class BrokenProbe : IReadinessProbe
    {
        public string Name => "disk";

        public ValueTask<string?> CheckAsync(CancellationToken cancellationToken) => ValueTask.FromResult<string?>("The disk is gone.");
    }
}
