using System.Text.Json;
using OrleansStreams.Silo.Http.Requests;

namespace OrleansStreams.Silo.Http.Problems;

/// <summary>Turns every exception of a handler into a problem document; only errors of our own making are logged, and none shows a stack trace.</summary>
internal sealed partial class ProblemFilter(ILogger<ProblemFilter> logger) : IEndpointFilter
{
    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        var http = context.HttpContext;
        try
        {
            RouteNames.Check(http.Request.RouteValues);
            return await next(context);
        }
        catch (OperationCanceledException) when (http.RequestAborted.IsCancellationRequested)
        {
            // Nobody is there to read an answer.
            return Results.Empty;
        }
        catch (Exception exception) when (!http.Response.HasStarted)
        {
            return Answer(http, exception);
        }
    }

    /// <summary>The problem document of an exception.</summary>
    internal static ProblemBody Describe(Exception exception) => exception switch
    {
        RequestFailedException failed => ProblemBody.Of(failed.Cause.Code, failed.Cause.Message, outcome: failed.Cause.Outcome)
            with { Details = new Dictionary<string, object?>(failed.Details) },
        StreamsException streams => ProblemBody.Of(streams.Code, streams.Message, outcome: streams.Outcome),
        BadHttpRequestException { StatusCode: StatusCodes.Status413PayloadTooLarge } =>
            ProblemBody.Of(StreamsErrorCode.RecordTooLarge, "The request body is larger than the server takes; send fewer records in a request."),
        BadHttpRequestException bad => ProblemBody.Of(StreamsErrorCode.InvalidRequest, bad.Message, bad.StatusCode),
        JsonException json => ProblemBody.Of(StreamsErrorCode.InvalidRequest, $"The body is not what this request takes: {json.Message}"),
        TimeoutException => ProblemBody.Of(
            StreamsErrorCode.RequestTimedOut, "The request took longer than its timeout; whether it was carried out is not known. Try again.", outcome: WriteOutcome.Unknown),
        OrleansException => ProblemBody.Of(
            StreamsErrorCode.CoordinatorNotAvailable,
            "A silo that the request needs is not available now; whether the request was carried out is not known. Try again in a moment.",
            outcome: WriteOutcome.Unknown),
        OperationCanceledException => ProblemBody.Of(
            StreamsErrorCode.CoordinatorNotAvailable, "The server is stopping; try again in a moment.", outcome: WriteOutcome.Unknown),
        _ => ProblemBody.Of(StreamsErrorCode.Unknown, "The server failed unexpectedly; its log has the cause under this request's trace id.", outcome: WriteOutcome.Unknown),
    };

    /// <summary>The answer that carries a problem document.</summary>
    internal static IResult Result(HttpContext http, ProblemBody body)
    {
        if (body.Retriable && body.Status is StatusCodes.Status429TooManyRequests or StatusCodes.Status503ServiceUnavailable)
        {
            http.Response.Headers.RetryAfter = "1";
        }

        return Results.Json(body, contentType: "application/problem+json", statusCode: body.Status);
    }

    private IResult Answer(HttpContext http, Exception exception)
    {
        var body = Describe(exception);
        if (body.Code == nameof(StreamsErrorCode.Unknown))
        {
            LogUnexpected(exception, http.Request.Method, http.Request.Path, http.TraceIdentifier);
            body = body with { Details = new Dictionary<string, object?> { ["traceId"] = http.TraceIdentifier } };
        }

        return Result(http, body);
    }

    [LoggerMessage(EventId = 4001, Level = LogLevel.Error, Message = "{Method} {Path} failed unexpectedly (trace id {TraceId})")]
    private partial void LogUnexpected(Exception exception, string method, PathString path, string traceId);
}
