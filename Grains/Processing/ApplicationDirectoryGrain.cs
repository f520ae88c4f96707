using System.Collections.Immutable;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>Tells what is registered in its silo, which is the same in every silo, and keeps what was started and named besides: one small list, written when it changes.</summary>
internal sealed class ApplicationDirectoryGrain(
    IApplicationCatalog catalog,
    [PersistentState("application-directory", "streams")] IPersistentState<ApplicationDirectoryState> stored) : Grain, IApplicationDirectoryGrain
{
    // What is stored for certain: queries come between a change and its write.
    private ApplicationDirectoryState? _known;

    private ApplicationDirectoryState Known => _known ??= stored.State;

    public Task<ImmutableArray<string>> ListAsync() =>
        Task.FromResult<ImmutableArray<string>>([.. catalog.Names.Union(Known.Versions, StringComparer.Ordinal).Order(StringComparer.Ordinal)]);

    public Task<ImmutableArray<ServingAlias>> ListAliasesAsync() =>
        Task.FromResult<ImmutableArray<ServingAlias>>([.. Known.Aliases.OrderBy(alias => alias.Key, StringComparer.Ordinal).Select(alias => new ServingAlias(alias.Key, alias.Value))]);

    public Task<ImmutableArray<string>> AliasesOfAsync(string application) =>
        Task.FromResult<ImmutableArray<string>>([.. Known.Aliases.Where(alias => alias.Value == application).Select(alias => alias.Key).Order(StringComparer.Ordinal)]);

    public async Task SwitchAsync(string alias, string application)
    {
        TopologyNames.Check(alias, "alias");
        if (catalog.Names.Contains(alias))
        {
            throw Refused($"'{alias}' is an application's own name and cannot be an alias: take another name.");
        }

        if (!catalog.Names.Contains(ApplicationNames.BaseOf(application)))
        {
            throw new StreamsException(StreamsErrorCode.ApplicationNotFound, $"There is no application '{application}' that alias '{alias}' could stand for: list what there is.", WriteOutcome.NotWritten);
        }

        var status = await GrainFactory.GetGrain<IStreamApplicationGrain>(application).GetStatusAsync();
        if (status.State is not (StreamApplicationState.Running or StreamApplicationState.Paused or StreamApplicationState.Completed))
        {
            throw Refused($"Application '{application}' is {status.State.ToString().ToLowerInvariant()} and answers no queries: start it before alias '{alias}' is switched to it.");
        }

        await WriteAsync(state => state.Aliases[alias] = application);
    }

    public Task RemoveAliasAsync(string alias) => Known.Aliases.ContainsKey(alias) ? WriteAsync(state => state.Aliases.Remove(alias)) : Task.CompletedTask;

    public Task<string?> ResolveAsync(string alias) => Task.FromResult(Known.Aliases.GetValueOrDefault(alias));

    public Task AddVersionAsync(string application) =>
        Known.Versions.Contains(application) ? Task.CompletedTask : WriteAsync(state => state.Versions.Add(application));

    public Task RemoveVersionAsync(string application) =>
        Known.Versions.Contains(application) ? WriteAsync(state => state.Versions.Remove(application)) : Task.CompletedTask;

    private async Task WriteAsync(Action<ApplicationDirectoryState> change)
    {
        var before = Known;
        var after = new ApplicationDirectoryState { Versions = [.. before.Versions], Aliases = new(before.Aliases, StringComparer.Ordinal) };
        change(after);
        _known = before;
        stored.State = after;
        try
        {
            await stored.WriteStateAsync();
            _known = after;
        }
        catch (Exception error)
        {
            // What is stored is not known; the next activation reads it.
            stored.State = before;
            DeactivateOnIdle();
            throw new StreamsException(StreamsErrorCode.StorageError, $"The list of applications could not be written ({error.Message}): try again.", WriteOutcome.Unknown, error);
        }
    }

    private static StreamsException Refused(string message) => new(StreamsErrorCode.InvalidRequest, message, WriteOutcome.NotWritten);
}

/// <summary>What the directory stores.</summary>
internal sealed class ApplicationDirectoryState
{
    /// <summary>The versions of applications that were started.</summary>
    public List<string> Versions { get; set; } = [];

    /// <summary>By alias, the application that it stands for.</summary>
    public Dictionary<string, string> Aliases { get; set; } = [];
}
