using System.Collections.Immutable;

namespace OrleansStreams.Groups;

/// <summary>The names of all groups, in one small persisted list: it changes when a group is made or deleted, never per heartbeat or commit.</summary>
internal sealed class GroupDirectoryGrain([PersistentState("directory", "streams")] IPersistentState<GroupDirectoryState> stored) : Grain, IGroupDirectoryGrain
{
    /// <inheritdoc/>
    public Task<ImmutableArray<string>> ListAsync() => Task.FromResult<ImmutableArray<string>>([.. stored.State.Groups]);

    /// <inheritdoc/>
    public Task AddAsync(string groupId)
    {
        var at = stored.State.Groups.BinarySearch(groupId, StringComparer.Ordinal);
        return at >= 0 ? Task.CompletedTask : WriteAsync(groups => groups.Insert(~at, groupId));
    }

    /// <inheritdoc/>
    public Task RemoveAsync(string groupId)
    {
        var at = stored.State.Groups.BinarySearch(groupId, StringComparer.Ordinal);
        return at < 0 ? Task.CompletedTask : WriteAsync(groups => groups.RemoveAt(at));
    }

    private async Task WriteAsync(Action<List<string>> change)
    {
        try
        {
            change(stored.State.Groups);
            await stored.WriteStateAsync();
        }
        catch (Exception e)
        {
            // Memory is ahead of the storage now; the next activation reads what is there.
            DeactivateOnIdle();
            throw new StreamsException(
                StreamsErrorCode.StorageError, $"The list of groups could not be written ({e.Message}). Try again.", WriteOutcome.Unknown, e);
        }
    }
}

/// <summary>What the directory persists.</summary>
[GenerateSerializer]
[Alias("streams.group-directory-state")]
internal sealed class GroupDirectoryState
{
    /// <summary>The group ids in ordinal order.</summary>
    [Id(0)]
    public List<string> Groups { get; set; } = [];
}
