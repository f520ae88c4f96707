using System.Collections.Immutable;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.Options;
using OrleansStreams.Processing;
using OrleansStreams.Silo.Http.Problems;
using OrleansStreams.Silo.Http.Requests;

namespace OrleansStreams.Silo.Http.Applications;

/// <summary>/apps: list, status, start, stop.</summary>
internal static class ApplicationHandlers
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        var apps = routes.MapGroup("/apps").WithTags("Applications");
        apps.MapGet("/", ListAsync).WithSummary("Lists the stream applications of this server.").Produces<ApplicationListBody>();
        apps.MapGet("/{app}", StatusAsync).WithSummary("Status, lag, watermark and throughput, with each task's.").Produces<ApplicationBody>().WithProblems(404);
        apps.MapGet("/{app}/topology", TopologyAsync).WithSummary("The topology as text and as a Mermaid flow chart, with the topics that it really uses.").Produces<TopologyBody>().WithProblems(400, 404);
        apps.MapPost("/{app}/start", StartAsync).WithSummary("Starts an application; it starts again with every silo. Needs the content type application/json, as stop does.")
            .Accepts<StartApplicationBody>(isOptional: true, "application/json").Produces<ApplicationBody>().WithProblems(400, 404);
        apps.MapPost("/{app}/stop", StopAsync).WithSummary("Stops an application after a last commit; it stays stopped.")
            .Produces<ApplicationBody>().WithProblems(400, 404);
    }

    private static async Task<IResult> ListAsync([FromServices] IGrainFactory grains)
    {
        var names = await grains.GetGrain<IApplicationDirectoryGrain>(IApplicationDirectoryGrain.Key).ListAsync();
        var apps = await BoundedCalls.AllAsync(names, async name =>
        {
            var status = await grains.GetGrain<IStreamApplicationGrain>(name).GetStatusAsync();
            return new ApplicationSummary(name, status.State.ToString(), status.Tasks.Length);
        });
        return Results.Ok(new ApplicationListBody(apps));
    }

    private static async Task<IResult> StatusAsync(string app, [FromServices] IGrainFactory grains) =>
        Results.Ok(ApplicationBody.Of(await grains.GetGrain<IStreamApplicationGrain>(app).GetStatusAsync()));

    private static async Task<IResult> TopologyAsync(string app, [FromServices] IGrainFactory grains)
    {
        var topology = await grains.GetGrain<IStreamApplicationGrain>(app).GetTopologyAsync();
        return Results.Ok(new TopologyBody(app, topology.Text, topology.Mermaid));
    }

    private static async Task<IResult> StartAsync(string app, HttpContext http, [FromServices] IGrainFactory grains, [FromServices] IOptions<StreamsApiOptions> options)
    {
        RequestBody.CheckContentType(http.Request);
        var hasBody = http.Features.Get<IHttpRequestBodyDetectionFeature>() is not { CanHaveBody: false };
        var body = !hasBody ? new StartApplicationBody() : await RequestBody.ReadAsync<StartApplicationBody>(http, options.Value.MaxBodyBytes);
        if (body.Parameters?.FirstOrDefault(parameter => parameter.Value is null) is { Key: { } name })
        {
            throw QueryText.Invalid($"Parameter '{name}' is null; give a string or leave it out.");
        }

        var status = await grains.GetGrain<IStreamApplicationGrain>(app).StartAsync((body.Parameters ?? []).ToImmutableDictionary(StringComparer.Ordinal));
        return Results.Ok(ApplicationBody.Of(status));
    }

    private static async Task<IResult> StopAsync(string app, HttpContext http, [FromServices] IGrainFactory grains)
    {
        RequestBody.CheckContentType(http.Request);
        var grain = grains.GetGrain<IStreamApplicationGrain>(app);
        await grain.StopAsync();
        return Results.Ok(ApplicationBody.Of(await grain.GetStatusAsync()));
    }
}
