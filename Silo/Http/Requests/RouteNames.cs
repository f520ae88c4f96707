namespace OrleansStreams.Silo.Http.Requests;

/// <summary>Refuses paths with a blank name, which no topic, group or application can have, and which is no key of a grain.</summary>
internal static class RouteNames
{
    /// <exception cref="StreamsException">UnknownTopicOrPartition, ApplicationNotFound; InvalidRequest for a group.</exception>
    public static void Check(RouteValueDictionary route)
    {
        if (IsBlank(route, "topic"))
        {
            throw new StreamsException(StreamsErrorCode.UnknownTopicOrPartition, "The path names no topic; GET /topics lists what there is.", WriteOutcome.NotWritten);
        }

        if (IsBlank(route, "app"))
        {
            throw new StreamsException(StreamsErrorCode.ApplicationNotFound, "The path names no application; GET /apps lists what there is.", WriteOutcome.NotWritten);
        }

        if (IsBlank(route, "group"))
        {
            throw QueryText.Invalid("The path names no group; a group's id has a letter in it at least.");
        }
    }

    private static bool IsBlank(RouteValueDictionary route, string name) => route.TryGetValue(name, out var value) && string.IsNullOrWhiteSpace(value as string);
}
