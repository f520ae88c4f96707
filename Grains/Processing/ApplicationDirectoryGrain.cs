using System.Collections.Immutable;

namespace OrleansStreams.Processing;

/// <summary>Tells what is registered in its silo, which is the same in every silo.</summary>
internal sealed class ApplicationDirectoryGrain(IApplicationCatalog catalog) : Grain, IApplicationDirectoryGrain
{
    public Task<ImmutableArray<string>> ListAsync() => Task.FromResult(catalog.Names.ToImmutableArray());
}
