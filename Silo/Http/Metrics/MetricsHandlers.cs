using Microsoft.AspNetCore.Mvc;

namespace OrleansStreams.Silo.Http.Metrics;

/// <summary>GET /metrics: Prometheus text.</summary>
internal static class MetricsHandlers
{
    public static void Map(IEndpointRouteBuilder routes) => routes
        .MapGet("/metrics", ([FromServices] MetricsCollector collector) => Results.Text(collector.Scrape(), PrometheusText.ContentType))
        .WithTags("Health").WithSummary("All metrics in the Prometheus text format 0.0.4.").Produces<string>(StatusCodes.Status200OK, "text/plain");
}
