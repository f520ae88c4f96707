using OrleansStreams.Groups;
using OrleansStreams.Log;
using OrleansStreams.Processing;

namespace OrleansStreams.Clients;

/// <summary>Grains by the names that users give; a blank one, which is no key of a grain, is refused in the words of its kind.</summary>
internal static class GrainKeys
{
    /// <exception cref="StreamsException">InvalidTopic.</exception>
    public static ITopicGrain Topic(this IGrainFactory grains, string name) => grains.GetGrain<ITopicGrain>(Checked(name, StreamsErrorCode.InvalidTopic, "topic"));

    /// <exception cref="StreamsException">InvalidRequest.</exception>
    public static IConsumerGroupGrain Group(this IGrainFactory grains, string id) => grains.GetGrain<IConsumerGroupGrain>(Checked(id, StreamsErrorCode.InvalidRequest, "consumer group"));

    /// <exception cref="StreamsException">ApplicationNotFound.</exception>
    public static IStreamApplicationGrain Application(this IGrainFactory grains, string name) =>
        grains.GetGrain<IStreamApplicationGrain>(Checked(name, StreamsErrorCode.ApplicationNotFound, "application"));

    private static string Checked(string name, StreamsErrorCode code, string what) => !string.IsNullOrWhiteSpace(name)
        ? name
        : throw new StreamsException(code, $"The name of the {what} is blank: name one.", WriteOutcome.NotWritten);
}
