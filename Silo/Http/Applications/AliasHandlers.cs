using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.Options;
using OrleansStreams.Clients;
using OrleansStreams.Processing;
using OrleansStreams.Silo.Http.Problems;
using OrleansStreams.Silo.Http.Requests;

namespace OrleansStreams.Silo.Http.Applications;

/// <summary>/aliases: names under which applications are queried, to let a new version take the place of an old one; and comparing the two.</summary>
internal static class AliasHandlers
{
    private const int DifferencesAbsent = 1_000;
    private const int DifferencesMax = 10_000;

    // An answer comes well within the time that clients wait for one, however large the stores are.
    private const int RowsPerAnswer = 50_000;
    private const int PageRows = 10_000;

    public static void Map(IEndpointRouteBuilder routes)
    {
        var aliases = routes.MapGroup("/aliases").WithTags("Applications");
        aliases.MapGet("/", async ([FromServices] IGrainFactory grains) =>
                Results.Ok((await Directory(grains).ListAliasesAsync()).Select(alias => new AliasBody(alias.Alias, alias.Application))))
            .WithSummary("Lists the aliases.").Produces<AliasBody[]>();
        aliases.MapPut("/{alias}", SwitchAsync).WithSummary("Lets an alias stand for an application that runs: queries from now on are answered by it.")
            .Accepts<SwitchAliasBody>("application/json").Produces<AliasBody>().WithProblems(400, 404);
        aliases.MapDelete("/{alias}", async (string alias, [FromServices] IGrainFactory grains) =>
        {
            await Directory(grains).RemoveAliasAsync(alias);
            return Results.NoContent();
        }).WithSummary("Forgets an alias.").Produces(StatusCodes.Status204NoContent);
        routes.MapGet("/apps/{app}/stores/{store}/differences", ReconcileAsync).WithTags("Applications")
            .WithSummary("Compares a store's rows with those of another, which should both stand still: key by key, window by window; a part of large stores at a time.").Produces<ReconcileBody>().WithProblems(400, 404, 409);
    }

    private static async Task<IResult> SwitchAsync(string alias, HttpContext http, [FromServices] IGrainFactory grains, [FromServices] IOptions<StreamsApiOptions> options)
    {
        RequestBody.CheckContentType(http.Request);
        var body = await RequestBody.ReadAsync<SwitchAliasBody>(http, options.Value.MaxBodyBytes);
        if (string.IsNullOrWhiteSpace(body.App))
        {
            throw QueryText.Invalid("Give app, the application that the alias is to stand for.");
        }

        await Directory(grains).SwitchAsync(alias, body.App);
        return Results.Ok(new AliasBody(alias, body.App));
    }

    private static async Task<IResult> ReconcileAsync(
        string app,
        string store,
        [FromServices] StreamsClient client,
        [System.ComponentModel.Description("The other application, or an alias.")] string? with,
        [System.ComponentModel.Description("The other's store; of the same name when absent.")] string? withStore,
        [System.ComponentModel.Description("The first window start to compare: ISO 8601 or ms since 1970.")] string? from,
        [System.ComponentModel.Description("The first window start not to compare.")] string? to,
        [System.ComponentModel.Description("The most differences to list, 1 to 10,000; 1,000 when absent.")] string? limit,
        [System.ComponentModel.Description("The continuation that the part before answered.")] string? continuation,
        CancellationToken cancellation)
    {
        if (string.IsNullOrWhiteSpace(with))
        {
            throw QueryText.Invalid("Give with=APP, the application to compare with.");
        }

        var (fromMs, toMs) = StoreHandlers.Windows(from, to);
        var found = await client.Applications.ReconcileAsync(
            new StoreName(app, store),
            new StoreName(with, string.IsNullOrEmpty(withStore) ? store : withStore),
            new StoreRange { FromMs = fromMs, ToMs = toMs, Limit = PageRows, Continuation = StoreHandlers.Continuation(continuation) },
            QueryText.Int(nameof(limit), limit, DifferencesAbsent, 1, DifferencesMax),
            RowsPerAnswer,
            cancellation);
        return Results.Ok(new ReconcileBody(found.Equal, found.OnlyInFirst, found.OnlyInSecond, found.Different, [.. found.Differences.Select(difference => Body(difference, found))], StoreHandlers.Text(found.Continuation)));
    }

    private static DifferenceBody Body(RowDifference difference, Reconciliation found)
    {
        var first = difference.First is { } x ? StoredBytes.Row(x, found.KeySerde, found.FirstValueSerde) : null;
        var second = difference.Second is { } y ? StoredBytes.Row(y, found.KeySerde, found.SecondValueSerde) : null;
        var row = first ?? second!;
        return new DifferenceBody(row.Key, row.KeyEncoding, row.WindowStart, row.WindowEnd, difference.Kind, first?.Value, second?.Value);
    }

    private static IApplicationDirectoryGrain Directory(IGrainFactory grains) => grains.GetGrain<IApplicationDirectoryGrain>(IApplicationDirectoryGrain.Key);
}
