using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;

namespace OrleansStreams.Infra.Tests.Docker;

/// <summary>The health check against servers that are well, unwell, silent and absent.</summary>
public sealed class HealthScriptTests
{
    [Fact]
    public async Task A_server_that_is_well_is_reported_by_the_exit_code() =>
        (await AskAsync(StatusCodes.Status200OK)).ShouldBe((0, "", ""));

    [Fact]
    public async Task A_server_that_is_not_ready_is_reported_with_its_own_words()
    {
        var (code, _, errors) = await AskAsync(StatusCodes.Status503ServiceUnavailable);
        code.ShouldBe(1);
        errors.ShouldContain("503 Service Unavailable");
        errors.ShouldContain("{\"storage\":\"no\"}");
    }

    [Fact]
    public async Task A_server_that_takes_connections_and_does_not_answer_is_reported_within_the_bound()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var (code, _, errors) = await RunAsync(((IPEndPoint)listener.LocalEndpoint).Port);
        code.ShouldBe(1);
        errors.ShouldContain("has not answered GET /health/ready for 1 s");
    }

    [Fact]
    public async Task A_server_that_is_not_there_is_reported()
    {
        int port;
        using (var listener = new TcpListener(IPAddress.Loopback, 0))
        {
            listener.Start();
            port = ((IPEndPoint)listener.LocalEndpoint).Port;
        }

        var (code, _, errors) = await RunAsync(port);
        code.ShouldBe(1);
        errors.ShouldContain($"nothing listens on port {port}");
    }

    private static async Task<(int ExitCode, string Output, string Errors)> AskAsync(int status)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        await using var app = builder.Build();
        app.MapGet("/health/ready", () => Results.Json(new Dictionary<string, string> { ["storage"] = "no" }, statusCode: status));
        await app.StartAsync();
        return await RunAsync(new Uri(app.Urls.Single()).Port);
    }

    private static Task<(int ExitCode, string Output, string Errors)> RunAsync(int port) =>
        Repository.RunAsync("bash", [Repository.PathOf("infra/docker/health.sh"), "/health/ready", $"{port}", "1"]);
}
