using System.Collections.Concurrent;
using EmbeddedOrleans.Runtime;
using EmbeddedOrleans.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Orleans;
using Orleans.Runtime;

namespace EmbeddedOrleans;

/// <summary>
/// Silos in one process and the grains in them: the directory, placement and the way of messages. A grain has at most one activation in
/// a cluster. Thread-safe.
/// </summary>
public sealed class EmbeddedCluster : IAsyncDisposable, IDisposable
{
    private readonly ConcurrentDictionary<GrainIdentity, Activation> _directory = new();
    private readonly Lock _placement = new();
    private readonly List<Silo> _silos = [];
    private readonly GrainClasses _classes;
    private readonly Random _random;
    private long _sequence;
    private int _siloNumber;

    private EmbeddedCluster(EmbeddedClusterOptions options)
    {
        Options = options;
        Time = options.TimeProvider ?? TimeProvider.System;
        _random = options.Random ?? Random.Shared;
        TurnScheduler = options.TurnScheduler ?? ThreadPoolTurnScheduler.Instance;
        Delivery = options.MessageDelivery;
        Logger = (options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger("EmbeddedOrleans");
        InFlight = new InFlightRequests(Time);
        _classes = new GrainClasses(options.Assemblies);
        GrainFactory = new Factory(this);
    }

    /// <summary>Makes references to the cluster's grains, for grains and for code outside.</summary>
    public IGrainFactory GrainFactory { get; }

    /// <summary>The silos that run, in the order of their start.</summary>
    public IReadOnlyList<EmbeddedSilo> Silos
    {
        get
        {
            lock (_placement)
            {
                return _silos.Select(s => s.Handle).ToArray();
            }
        }
    }

    internal EmbeddedClusterOptions Options { get; }

    internal TimeProvider Time { get; }

    internal ITurnScheduler TurnScheduler { get; }

    /// <summary>Null for immediate delivery, which is the fast path.</summary>
    internal IMessageDelivery? Delivery { get; }

    internal ILogger Logger { get; }

    internal InFlightRequests InFlight { get; }

    /// <summary>Creates a cluster without silos.</summary>
    public static EmbeddedCluster Create(EmbeddedClusterOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return new EmbeddedCluster(options);
    }

    /// <summary>Starts a silo with services of its own.</summary>
    /// <param name="name">Its name; null for <c>silo-1</c> and so on.</param>
    /// <param name="configureServices">Adds to what <see cref="EmbeddedClusterOptions.ConfigureServices"/> adds on every silo.</param>
    public EmbeddedSilo AddSilo(string? name = null, Action<IServiceCollection>? configureServices = null)
    {
        var services = new ServiceCollection();
        services.AddLogging();
        if (Options.LoggerFactory is { } loggers)
        {
            services.AddSingleton(loggers);
        }

        services.AddSingleton(Time);
        services.AddSingleton(_random);
        services.AddSingleton(GrainFactory);
        Options.ServiceConfiguration?.Invoke(services);
        configureServices?.Invoke(services);
        return AddSilo(name, services.BuildServiceProvider(), ownsServices: true);
    }

    /// <summary>Stops a silo in good order: requests under way end, every grain is deactivated, later calls go to the other silos.</summary>
    /// <param name="silo">The silo.</param>
    /// <param name="cancellationToken">When cancelled, what is still busy is dropped as in a crash.</param>
    public async Task StopSiloAsync(EmbeddedSilo silo, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(silo);
        if (Leave(silo.Silo))
        {
            if (!await silo.Silo.StopAsync(cancellationToken))
            {
                Drop(silo.Silo);
            }

            if (silo.Silo.OwnsServices && silo.Silo.Services is IAsyncDisposable services)
            {
                await services.DisposeAsync();
            }
        }
    }

    /// <summary>Crashes a silo: none of its activations runs another turn, nothing is deactivated, and whoever waits for an answer from it
    /// gets a <see cref="SiloUnavailableException"/>. Its services aren't disposed.</summary>
    public void CrashSilo(EmbeddedSilo silo)
    {
        ArgumentNullException.ThrowIfNull(silo);
        if (Leave(silo.Silo))
        {
            Drop(silo.Silo);
        }
    }

    /// <summary>Stops all silos in good order, one after the other; what is still busy after <see cref="EmbeddedClusterOptions.DeactivationTimeout"/> is dropped as in a crash.</summary>
    public async ValueTask DisposeAsync()
    {
        using var patience = new CancellationTokenSource(Options.DeactivationTimeout, Time);
        foreach (EmbeddedSilo silo in Silos)
        {
            await StopSiloAsync(silo, patience.Token);
        }

        InFlight.Dispose();
    }

    /// <summary>Drops all silos, as in a crash.</summary>
    public void Dispose()
    {
        foreach (EmbeddedSilo silo in Silos)
        {
            CrashSilo(silo);
        }

        InFlight.Dispose();
    }

    internal EmbeddedSilo AddSilo(string? name, IServiceProvider services, bool ownsServices)
    {
        lock (_placement)
        {
            name ??= $"silo-{++_siloNumber}";
            if (_silos.Any(s => s.Name == name))
            {
                throw new ArgumentException($"There is a silo named '{name}' already.", nameof(name));
            }

            var silo = new Silo(this, name, services, ownsServices);
            _silos.Add(silo);
            silo.Start();
            return silo.Handle;
        }
    }

    /// <summary>Sends a new request. Whatever goes wrong ends up in its promise.</summary>
    internal void Send(Request request)
    {
        MethodDescriptor descriptor = request.Descriptor;
        request.CallingActivation = Activation.Running;
        if (!descriptor.OneWay)
        {
            request.Started = Time.GetTimestamp();
            InFlight.Add(request, descriptor.Timeout ?? Options.ResponseTimeout);
        }

        if (descriptor.HasToken)
        {
            request.LinkCancellation();
        }

        Route(request);
    }

    /// <summary>Sends a request to its grain's activation: a new one, or one whose activation ended before it could start.</summary>
    internal void Route(Request request)
    {
        Activation activation;
        try
        {
            activation = request.Reference.Locate();
        }
        catch (Exception exception)
        {
            request.Reject(exception);
            return;
        }

        Volatile.Write(ref request.Target, activation);
        if (Delivery is { } delivery)
        {
            delivery.Deliver(request);
        }
        else
        {
            Arrived(request);
        }
    }

    internal static void Arrived(Request request)
    {
        Activation activation = request.Target!;
        activation.Post(request);

        // Looked at after the post: either the crash finds the request among those in flight, or the request finds the crash here.
        if (activation.IsClosed)
        {
            request.Settle(Unavailable(activation.Silo));
        }
    }

    /// <summary>The activation of a grain; created and placed when there is none.</summary>
    internal Activation Locate(GrainIdentity id)
    {
        if (_directory.TryGetValue(id, out Activation? activation) && !activation.IsGone)
        {
            return activation;
        }

        lock (_placement)
        {
            if (_directory.TryGetValue(id, out activation) && !activation.IsGone)
            {
                return activation;
            }

            // [RandomPlacement] and the default are the same here: a random silo.
            if (_silos.Count == 0)
            {
                throw new SiloUnavailableException($"No silo runs that could host {id}.");
            }

            Silo silo = _silos.Count == 1 ? _silos[0] : _silos[_random.Next(_silos.Count)];
            activation = new Activation(silo, id, ++_sequence);
            if (!silo.TryAdd(activation))
            {
                throw new SiloUnavailableException($"Silo {silo.Name} stops and takes no more grains.");
            }

            _directory[id] = activation;
            return activation;
        }
    }

    /// <summary>The activation has ended.</summary>
    internal void Forget(Activation activation)
    {
        _directory.TryRemove(KeyValuePair.Create(activation.Identity, activation));
        activation.Silo.Remove(activation);
    }

    internal IGrainStateStore StorageNamed(string? name, GrainIdentity id) =>
        Options.Stores.TryGetValue(name ?? EmbeddedClusterOptions.DefaultStorage, out IGrainStateStore? store)
            ? store
            : throw new InvalidOperationException(
                $"Grain {id} asks for the storage provider '{name ?? EmbeddedClusterOptions.DefaultStorage}', which isn't there; add it with AddFileGrainStorage or AddMemoryGrainStorage.");

    private static SiloUnavailableException Unavailable(Silo silo) =>
        new($"Silo {silo.Name} is gone; whether the call ran is unknown.");

    private bool Leave(Silo silo)
    {
        lock (_placement)
        {
            return _silos.Remove(silo);
        }
    }

    /// <summary>Removes whatever a silo still has, and ends all waiting for it.</summary>
    private void Drop(Silo silo)
    {
        foreach (Activation activation in silo.Crash())
        {
            Forget(activation);
        }

        foreach (Request request in InFlight.Take(r => Volatile.Read(ref r.Target)?.Silo == silo))
        {
            request.Settle(Unavailable(silo));
        }
    }

    private sealed class Factory(EmbeddedCluster cluster) : IGrainFactory
    {
        public TGrainInterface GetGrain<TGrainInterface>(string primaryKey, string? grainClassNamePrefix = null)
            where TGrainInterface : IGrainWithStringKey
        {
            ArgumentException.ThrowIfNullOrWhiteSpace(primaryKey);
            return (TGrainInterface)(object)cluster._classes.Reference(cluster, typeof(TGrainInterface), primaryKey, grainClassNamePrefix);
        }
    }
}

/// <summary>A silo of an <see cref="EmbeddedCluster"/>.</summary>
public sealed class EmbeddedSilo
{
    internal EmbeddedSilo(Silo silo) => Silo = silo;

    /// <summary>Its name.</summary>
    public string Name => Silo.Name;

    /// <summary>Its services.</summary>
    public IServiceProvider Services => Silo.Services;

    /// <summary>How many grains are in memory.</summary>
    public int ActivationCount => Silo.ActivationCount;

    internal Silo Silo { get; }
}
