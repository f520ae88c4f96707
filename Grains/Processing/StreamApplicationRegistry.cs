using System.Collections.Immutable;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>An application that a silo knows.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Describe">Describes its topology for given parameters.</param>
/// <param name="Options">What it does otherwise than other applications.</param>
internal sealed record StreamApplicationRegistration(string Name, Action<StreamsBuilder, ApplicationParameters> Describe, StreamApplicationOptions Options);

/// <summary>The applications that a silo knows; the same ones must be registered in every silo of a cluster.</summary>
internal sealed class StreamApplicationRegistry : IApplicationCatalog
{
    private readonly Dictionary<string, StreamApplicationRegistration> _applications = new(StringComparer.Ordinal);

    private readonly ProcessingOptions _silo;

    /// <exception cref="StreamsException">InvalidConfig for an option of the silo that cannot be used, or a name that is registered twice.</exception>
    public StreamApplicationRegistry(IEnumerable<StreamApplicationRegistration> applications, ProcessingOptions? silo = null)
    {
        _silo = silo ?? new ProcessingOptions();
        _silo.Check();
        foreach (var application in applications)
        {
            if (!_applications.TryAdd(application.Name, application))
            {
                throw new StreamsException(StreamsErrorCode.InvalidConfig, $"Two applications are registered as '{application.Name}': give each its own name.");
            }
        }
    }

    /// <summary>The names in ordinal order.</summary>
    public IReadOnlyList<string> Names => [.. _applications.Keys.Order(StringComparer.Ordinal)];

    /// <exception cref="StreamsException">ApplicationNotFound.</exception>
    public void Check(string name) => Find(name);

    /// <summary>Whether the name is that of an application, or of a version of one.</summary>
    public bool Knows(string name) => _applications.ContainsKey(ApplicationNames.BaseOf(name));

    /// <summary>Describes an application's topology.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound; InvalidConfig when the description is wrong; InvalidRequest for a wrong parameter.</exception>
    public Topology Build(string name, ApplicationParameters parameters)
    {
        parameters = parameters.OfVersion(ApplicationNames.VersionOf(name));
        var builder = new StreamsBuilder();
        try
        {
            Find(name).Describe(builder, parameters);
        }
        catch (Exception error) when (error is not StreamsException)
        {
            throw new StreamsException(StreamsErrorCode.InvalidConfig, $"The topology of application '{name}' cannot be described: {error.GetType().Name}: {error.Message}", inner: error);
        }

        var topology = builder.Build();
        if (OptionsOf(name, _silo).Guarantee == ProcessingGuarantee.AtMostOnce && topology.SubTopologies.FirstOrDefault(sub => sub.File is not null) is { } reading)
        {
            throw Topology.Invalid(
                $"Application '{name}' cannot process at most once what it reads from file {reading.File!.Path}: choose another guarantee, or write the file to a topic by an application of its own.");
        }

        return topology;
    }

    /// <summary>The options of an application's tasks.</summary>
    /// <exception cref="StreamsException">ApplicationNotFound.</exception>
    public ProcessingOptions OptionsOf(string name, ProcessingOptions silo) => Find(name).Options.Over(silo);

    private StreamApplicationRegistration Find(string name)
    {
        if (ApplicationNames.IsVersion(name))
        {
            TopologyNames.Check(ApplicationNames.VersionOf(name), "version of an application");
            if (ApplicationNames.VersionOf(name).Contains('.', StringComparison.Ordinal))
            {
                throw new StreamsException(StreamsErrorCode.InvalidConfig, $"'{name}' cannot name a version of an application: a version takes no dot, because its logs and topics are called as an application's with one.", WriteOutcome.NotWritten);
            }

            if (_applications.ContainsKey(ApplicationNames.Stored(name)))
            {
                throw new StreamsException(
                    StreamsErrorCode.InvalidConfig, $"Version '{name}' would share its logs and topics with the application '{ApplicationNames.Stored(name)}': name the version otherwise.", WriteOutcome.NotWritten);
            }
        }

        return _applications.TryGetValue(ApplicationNames.BaseOf(name), out var application) ? application : throw NotFound(name);
    }

    private StreamsException NotFound(string name) =>
        new(
            StreamsErrorCode.ApplicationNotFound,
            $"No application '{name}' is registered in this silo (known: {(_applications.Count == 0 ? "none" : string.Join(", ", Names))}): register it with services.AddStreamApplication(\"{name}\", ...).");
}
