using Microsoft.AspNetCore.Mvc;

namespace OrleansStreams.Silo.Http.Health;

/// <summary>/health/live: the process answers. /health/ready: it can serve requests.</summary>
internal static class HealthHandlers
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        var health = routes.MapGroup("/health").WithTags("Health");
        health.MapGet("/live", () => Results.Ok(new HealthBody("live", new Dictionary<string, string>()))).WithSummary("The process answers.").Produces<HealthBody>();
        health.MapGet("/ready", ReadyAsync).WithSummary("The silo has started and its storage can be written.")
            .Produces<HealthBody>().Produces<HealthBody>(StatusCodes.Status503ServiceUnavailable);
    }

    private static async Task<IResult> ReadyAsync([FromServices] IEnumerable<IReadinessProbe> probes, CancellationToken cancellationToken)
    {
        var checks = new SortedDictionary<string, string>(StringComparer.Ordinal);
        var ready = true;
        foreach (var probe in probes)
        {
            var wrong = await probe.CheckAsync(cancellationToken);
            ready &= wrong is null;
            checks[probe.Name] = wrong ?? "ok";
        }

        return Results.Json(
            new HealthBody(ready ? "ready" : "not ready", checks), statusCode: ready ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable);
    }
}

/// <summary>The state of the server and what each probe says.</summary>
internal sealed record HealthBody(string Status, IReadOnlyDictionary<string, string> Checks);
