using System.Reflection;
using EmbeddedOrleans.Runtime;
using EmbeddedOrleans.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace EmbeddedOrleans;

/// <summary>What a cluster of embedded silos is made of. Read when the cluster is created.</summary>
public sealed class EmbeddedClusterOptions
{
    /// <summary>The name of the storage provider that a <c>[PersistentState]</c> without one uses.</summary>
    public const string DefaultStorage = "Default";

    private readonly List<Assembly> _assemblies = [];
    private readonly Dictionary<string, IGrainStateStore> _stores = new(StringComparer.Ordinal);
    private Action<IServiceCollection>? _configureServices;

    /// <summary>How long a caller waits for a response before it gets a <see cref="TimeoutException"/>; 30 s.</summary>
    public TimeSpan ResponseTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a grain is unused before it is deactivated; 15 min.</summary>
    public TimeSpan CollectionAge { get; set; } = TimeSpan.FromMinutes(15);

    /// <summary>How often a silo looks for unused grains; 1 min.</summary>
    public TimeSpan CollectionQuantum { get; set; } = TimeSpan.FromMinutes(1);

    /// <summary>When the token of OnActivateAsync is cancelled; 30 s.</summary>
    public TimeSpan ActivationTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>When the token of OnDeactivateAsync is cancelled; 30 s.</summary>
    public TimeSpan DeactivationTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>The clock; null for the one in the services of the application, or else the system's.</summary>
    public TimeProvider? TimeProvider { get; set; }

    /// <summary>The source of randomness (placement; grains get it injected too); null for the one in the services of the application, or
    /// else <see cref="System.Random.Shared"/>.</summary>
    public Random? Random { get; set; }

    /// <summary>Decides when activations run; null for first come, first served on the thread pool.</summary>
    public ITurnScheduler? TurnScheduler { get; set; }

    /// <summary>Carries calls and responses; null for at once.</summary>
    public IMessageDelivery? MessageDelivery { get; set; }

    /// <summary>Where the host logs; null for the logging of the application, or else nowhere.</summary>
    public ILoggerFactory? LoggerFactory { get; set; }

    internal IReadOnlyList<Assembly> Assemblies => _assemblies;

    internal IReadOnlyDictionary<string, IGrainStateStore> Stores => _stores;

    internal Action<IServiceCollection>? ServiceConfiguration => _configureServices;

    /// <summary>Looks for grain classes in an assembly.</summary>
    public EmbeddedClusterOptions AddGrainAssembly(Assembly assembly)
    {
        ArgumentNullException.ThrowIfNull(assembly);
        _assemblies.Add(assembly);
        return this;
    }

    /// <summary>Keeps grain state in files: one for each grain and state, replaced atomically and flushed to disk.</summary>
    /// <param name="name">The provider's name in <c>[PersistentState]</c>.</param>
    /// <param name="directory">The folder; created when it isn't there.</param>
    public EmbeddedClusterOptions AddFileGrainStorage(string name, string directory) => AddGrainStorage(name, new FileGrainStateStore(directory));

    /// <summary>Keeps grain state in memory, shared by all silos of the cluster.</summary>
    /// <param name="name">The provider's name in <c>[PersistentState]</c>.</param>
    public EmbeddedClusterOptions AddMemoryGrainStorage(string name) => AddGrainStorage(name, new MemoryGrainStateStore());

    /// <summary>Keeps grain state in a store of your own.</summary>
    /// <param name="name">The provider's name in <c>[PersistentState]</c>.</param>
    /// <param name="store">The store; shared by all silos of the cluster.</param>
    public EmbeddedClusterOptions AddGrainStorage(string name, IGrainStateStore store)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(store);
        if (!_stores.TryAdd(name, store))
        {
            throw new ArgumentException($"There is a storage provider named '{name}' already.", nameof(name));
        }

        return this;
    }

    /// <summary>Adds services that grains get injected, on every silo.</summary>
    public EmbeddedClusterOptions ConfigureServices(Action<IServiceCollection> configure)
    {
        ArgumentNullException.ThrowIfNull(configure);
        _configureServices += configure;
        return this;
    }
}
