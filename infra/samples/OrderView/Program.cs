// A microservice that queries a view: GET /customers/alice answers what she spent in each of the last minutes, from the state of the application 'spending'.
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using OrleansStreams.Clients;
using OrleansStreams.Cluster;
using OrleansStreams.Errors;
using OrleansStreams.Records;

var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = args, ContentRootPath = AppContext.BaseDirectory });
builder.UseStreamsClusterClient();
var app = builder.Build();
app.MapGet("/customers/{name}", async (string name, StreamsClient streams, CancellationToken cancellation) =>
{
    try
    {
        var spent = await streams.Applications.QueryWindowsAsync(
            "spending", "by-customer", name, Serdes.Utf8, Serdes.Int64, DateTimeOffset.MinValue, DateTimeOffset.MaxValue, cancellationToken: cancellation);
        return Results.Ok(spent.Windows.Select(minute => new { From = DateTimeOffset.FromUnixTimeMilliseconds(minute.WindowStartMs), Cents = minute.Value, minute.IsFinal }));
    }
    catch (StreamsException error)
    {
        return Results.Problem(error.Message, statusCode: ErrorTable.HttpStatusOf(error.Code));
    }
});
await app.RunAsync();
