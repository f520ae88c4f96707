using System.Collections.Immutable;

namespace OrleansStreams.Processing;

/// <summary>
/// The stream applications that the silos can run, for clients outside of them, the versions of them that were started, and the aliases under which they are queried; its key is
/// <see cref="Key"/>.
/// </summary>
[Alias("streams.IApplicationDirectoryGrain")]
public interface IApplicationDirectoryGrain : IGrainWithStringKey
{
    /// <summary>The one key.</summary>
    const string Key = "applications";

    /// <summary>All names in ordinal order: those that the silo that answers has registered, and the versions that were started.</summary>
    [Alias("ListAsync")]
    Task<ImmutableArray<string>> ListAsync();

    /// <summary>The aliases in ordinal order.</summary>
    [AlwaysInterleave]
    [Alias("ListAliasesAsync")]
    Task<ImmutableArray<ServingAlias>> ListAliasesAsync();

    /// <summary>The aliases that stand for an application, in ordinal order: once a switch that is under way is over.</summary>
    [Alias("AliasesOfAsync")]
    Task<ImmutableArray<string>> AliasesOfAsync(string application);

    /// <summary>Lets an alias stand for an application that runs, from now on and durably. Queries that were asked before are answered by the application before.</summary>
    /// <exception cref="StreamsException">InvalidConfig for a name that cannot be one, InvalidRequest when it is an application's or the application does not run, ApplicationNotFound.</exception>
    [Alias("SwitchAsync")]
    Task SwitchAsync(string alias, string application);

    /// <summary>Forgets an alias; does nothing when there is none.</summary>
    [Alias("RemoveAliasAsync")]
    Task RemoveAliasAsync(string alias);

    /// <summary>The application that an alias stands for; null when it is none.</summary>
    [AlwaysInterleave]
    [Alias("ResolveAsync")]
    Task<string?> ResolveAsync(string alias);

    /// <summary>Remembers a version that is started, so that every silo brings it up again.</summary>
    [Alias("AddVersionAsync")]
    Task AddVersionAsync(string application);

    /// <summary>Forgets a version that was dropped.</summary>
    [Alias("RemoveVersionAsync")]
    Task RemoveVersionAsync(string application);
}
