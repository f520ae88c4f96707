using System.Collections.Immutable;

namespace OrleansStreams.Log;

/// <summary>The list of topics.</summary>
internal sealed class TopicDirectoryGrain([PersistentState("topics", "streams")] IPersistentState<TopicDirectoryState> state) : Grain, ITopicDirectoryGrain
{
    public Task<ImmutableArray<string>> ListAsync() => Task.FromResult(state.State.Topics.ToImmutableArray());

    public Task AddAsync(string topic)
    {
        var at = state.State.Topics.BinarySearch(topic, StringComparer.Ordinal);
        return at >= 0 ? Task.CompletedTask : ReplaceAsync([.. state.State.Topics.Take(~at), topic, .. state.State.Topics.Skip(~at)]);
    }

    public Task RemoveAsync(string topic)
    {
        var at = state.State.Topics.BinarySearch(topic, StringComparer.Ordinal);
        return at < 0 ? Task.CompletedTask : ReplaceAsync([.. state.State.Topics.Take(at), .. state.State.Topics.Skip(at + 1)]);
    }

    private Task ReplaceAsync(List<string> topics) => state.ReplaceAsync(new TopicDirectoryState { Topics = topics }, DeactivateOnIdle);
}
