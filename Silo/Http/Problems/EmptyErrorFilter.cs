namespace OrleansStreams.Silo.Http.Problems;

/// <summary>Gives a problem document to the errors that routing answers without a body: an unknown path, a method that a path doesn't have.</summary>
internal sealed class EmptyErrorFilter : IStartupFilter
{
    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => builder =>
    {
        builder.Use(async (context, following) =>
        {
            await following(context);
            var response = context.Response;
            if (response.StatusCode >= 400 && !response.HasStarted && response.ContentType is null && response.ContentLength is null)
            {
                await ProblemFilter.Result(context, Describe(context)).ExecuteAsync(context);
            }
        });
        next(builder);
    };

    private static ProblemBody Describe(HttpContext context) => context.Response.StatusCode switch
    {
        StatusCodes.Status404NotFound => ProblemBody.Of(
            StreamsErrorCode.InvalidRequest, $"There is nothing at {context.Request.Path}; /openapi/v1.json lists what there is.", StatusCodes.Status404NotFound),
        StatusCodes.Status405MethodNotAllowed => ProblemBody.Of(
            StreamsErrorCode.InvalidRequest,
            $"{context.Request.Path} does not take {context.Request.Method}; it takes {context.Response.Headers.Allow}.",
            StatusCodes.Status405MethodNotAllowed),
        StatusCodes.Status415UnsupportedMediaType => ProblemBody.Of(
            StreamsErrorCode.InvalidRequest,
            $"The content type is '{context.Request.ContentType}'; send JSON with the header Content-Type: application/json.",
            StatusCodes.Status415UnsupportedMediaType),
        var status => ProblemBody.Of(StreamsErrorCode.InvalidRequest, $"The request was refused with status {status}; /openapi/v1.json lists what there is.", status),
    };
}
