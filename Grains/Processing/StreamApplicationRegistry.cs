using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>An application's name and the code that describes its topology.</summary>
internal sealed record StreamApplicationRegistration(string Name, Action<StreamsBuilder, ApplicationParameters> Build);

/// <summary>The applications that this silo can run.</summary>
internal sealed class StreamApplicationRegistry : IApplicationCatalog
{
    private readonly SortedDictionary<string, StreamApplicationRegistration> _applications = new(StringComparer.Ordinal);

    public StreamApplicationRegistry(IEnumerable<StreamApplicationRegistration> applications)
    {
        foreach (var application in applications)
        {
            if (!_applications.TryAdd(application.Name, application))
            {
                throw new StreamsException(StreamsErrorCode.InvalidConfig, $"the stream application '{application.Name}' is registered twice; give each a name of its own");
            }
        }
    }

    public IReadOnlyList<string> Names => [.. _applications.Keys];

    /// <summary>Throws when there is no such application.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound.</exception>
    public void ThrowIfUnknown(string name) => _ = Get(name);

    /// <summary>Describes an application's topology with the parameters that it runs with.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound, or what the application's own code finds wrong with the parameters.</exception>
    public Topology Build(string name, IReadOnlyDictionary<string, string> parameters)
    {
        var builder = new StreamsBuilder();
        Get(name).Build(builder, new ApplicationParameters(parameters));
        return builder.Build();
    }

    private StreamApplicationRegistration Get(string name) => _applications.TryGetValue(name, out var application)
        ? application
        : throw new StreamsException(
            StreamsErrorCode.ApplicationNotFound,
            $"there is no stream application '{name}'; register it in the silo with AddStreamApplication. Registered: {(_applications.Count == 0 ? "none" : string.Join(", ", _applications.Keys))}");
}
