namespace OrleansStreams.Silo.Http.Problems;

/// <summary>Names an endpoint's errors in the OpenAPI document.</summary>
internal static class ProblemMetadata
{
    public static RouteHandlerBuilder WithProblems(this RouteHandlerBuilder builder, params ReadOnlySpan<int> statuses)
    {
        foreach (var status in statuses)
        {
            builder.Produces<ProblemBody>(status, "application/problem+json");
        }

        return builder;
    }
}
