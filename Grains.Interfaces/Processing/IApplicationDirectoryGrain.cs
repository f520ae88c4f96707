using System.Collections.Immutable;

namespace OrleansStreams.Processing;

/// <summary>The stream applications that the silos can run, for clients outside of them; its key is <see cref="Key"/>.</summary>
[Alias("streams.IApplicationDirectoryGrain")]
public interface IApplicationDirectoryGrain : IGrainWithStringKey
{
    /// <summary>The one key.</summary>
    const string Key = "applications";

    /// <summary>All names in ordinal order, as the silo that answers has them registered.</summary>
    [Alias("ListAsync")]
    Task<ImmutableArray<string>> ListAsync();
}
