namespace OrleansStreams.Processing;

/// <summary>The stream applications that this silo can run: the names under which topologies are registered. The same in every silo of a cluster.</summary>
public interface IApplicationCatalog
{
    /// <summary>The names in ordinal order.</summary>
    IReadOnlyList<string> Names { get; }
}
