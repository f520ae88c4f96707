using System.Collections.Immutable;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.Options;
using OrleansStreams.Processing;
using OrleansStreams.Silo.Http.Problems;
using OrleansStreams.Silo.Http.Requests;

namespace OrleansStreams.Silo.Http.Applications;

/// <summary>/apps: list, status, topology, start, stop, pause, resume, reset, drop.</summary>
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
        apps.MapPost("/{app}/pause", PauseAsync).WithSummary("Pauses an application: it reads nothing, keeps its state and answers queries; it stays paused.")
            .Produces<ApplicationBody>().WithProblems(400, 404, 409);
        apps.MapPost("/{app}/resume", ResumeAsync).WithSummary("Lets a paused application go on.").Produces<ApplicationBody>().WithProblems(400, 404, 409);
        apps.MapPost("/{app}/reset", ResetAsync).WithSummary("Deletes the state of a stopped application; its next start reads its inputs from a place that is taken now.")
            .Accepts<ResetApplicationBody>("application/json").Produces<ApplicationBody>().WithProblems(400, 404, 409);
        apps.MapDelete("/{app}", DropAsync).WithSummary("Stops an application and deletes its state and internal topics.").Produces(StatusCodes.Status204NoContent).WithProblems(400, 404);
    }

    private static async Task<IResult> ListAsync([FromServices] IGrainFactory grains)
    {
        var names = await grains.GetGrain<IApplicationDirectoryGrain>(IApplicationDirectoryGrain.Key).ListAsync();
        var apps = await BoundedCalls.AllAsync(names, async name =>
        {
            var status = await grains.GetGrain<IStreamApplicationGrain>(name).GetStatusAsync();
            return new ApplicationSummary(name, status.State.ToString(), status.Tasks.Length);
        });
        var aliases = await grains.GetGrain<IApplicationDirectoryGrain>(IApplicationDirectoryGrain.Key).ListAliasesAsync();
        return Results.Ok(new ApplicationListBody(apps, [.. aliases.Select(alias => new AliasBody(alias.Alias, alias.Application))]));
    }

    private static async Task<IResult> StatusAsync(string app, [FromServices] IGrainFactory grains) =>
        Results.Ok(ApplicationBody.Of(await grains.GetGrain<IStreamApplicationGrain>(app).GetStatusAsync()));

    private static async Task<IResult> TopologyAsync(string app, [FromServices] IGrainFactory grains)
    {
        var topology = await grains.GetGrain<IStreamApplicationGrain>(app).GetTopologyAsync();
        return Results.Ok(new TopologyBody(app, topology.Text, topology.Mermaid, topology.Stores));
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

        var start = new StreamApplicationStart((body.Parameters ?? []).ToImmutableDictionary(StringComparer.Ordinal)) { From = PositionOf(body.From), To = PositionOf(body.To) };
        var status = await grains.GetGrain<IStreamApplicationGrain>(app).StartWithAsync(start);
        return Results.Ok(ApplicationBody.Of(status));
    }

    private static async Task<IResult> PauseAsync(string app, HttpContext http, [FromServices] IGrainFactory grains)
    {
        RequestBody.CheckContentType(http.Request);
        return Results.Ok(ApplicationBody.Of(await grains.GetGrain<IStreamApplicationGrain>(app).PauseAsync()));
    }

    private static async Task<IResult> ResumeAsync(string app, HttpContext http, [FromServices] IGrainFactory grains)
    {
        RequestBody.CheckContentType(http.Request);
        return Results.Ok(ApplicationBody.Of(await grains.GetGrain<IStreamApplicationGrain>(app).ResumeAsync()));
    }

    private static async Task<IResult> ResetAsync(string app, HttpContext http, [FromServices] IGrainFactory grains, [FromServices] IOptions<StreamsApiOptions> options)
    {
        RequestBody.CheckContentType(http.Request);
        var body = await RequestBody.ReadAsync<ResetApplicationBody>(http, options.Value.MaxBodyBytes);
        var grain = grains.GetGrain<IStreamApplicationGrain>(app);
        await grain.ResetAsync(PositionOf(body.To) ?? throw QueryText.Invalid("Give to: earliest, latest, an offset or timestamp:T, where the next start begins to read."));
        return Results.Ok(ApplicationBody.Of(await grain.GetStatusAsync()));
    }

    private static async Task<IResult> DropAsync(string app, [FromServices] IGrainFactory grains)
    {
        await grains.GetGrain<IStreamApplicationGrain>(app).DropAsync();
        return Results.NoContent();
    }

    private static StreamPosition? PositionOf(string? text)
    {
        if (string.IsNullOrEmpty(text))
        {
            return null;
        }

        var spec = OffsetSpec.Parse(text, OffsetKind.Earliest);
        return new StreamPosition(
            spec.Kind switch
            {
                OffsetKind.Earliest => StreamPositionKind.Earliest,
                OffsetKind.Latest => StreamPositionKind.Latest,
                OffsetKind.Offset => StreamPositionKind.Offset,
                _ => StreamPositionKind.Timestamp,
            },
            spec.Value);
    }

    private static async Task<IResult> StopAsync(string app, HttpContext http, [FromServices] IGrainFactory grains)
    {
        RequestBody.CheckContentType(http.Request);
        var grain = grains.GetGrain<IStreamApplicationGrain>(app);
        await grain.StopAsync();
        return Results.Ok(ApplicationBody.Of(await grain.GetStatusAsync()));
    }
}
