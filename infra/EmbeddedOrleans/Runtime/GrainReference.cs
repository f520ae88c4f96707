using Orleans.Runtime;

namespace EmbeddedOrleans.Runtime;

/// <summary>A grain's identity in the cluster.</summary>
internal readonly record struct GrainIdentity(GrainClass Class, string Key)
{
    public override string ToString() => $"{Class.GrainType}/{Key}";
}

/// <summary>The base of generated proxies: names a grain and sends it requests. Making one activates nothing.</summary>
internal abstract class GrainReference : IAddressable, IEquatable<GrainReference>
{
    private readonly MethodDescriptor[] _methods;

    // Where the last call went; spares the directory. It may be stale: the activation then passes the call on.
    private Activation? _lastActivation;

    protected GrainReference(EmbeddedCluster cluster, GrainIdentity id, MethodDescriptor[] methods)
    {
        Cluster = cluster;
        Id = id;
        _methods = methods;
    }

    internal EmbeddedCluster Cluster { get; }

    internal GrainIdentity Id { get; }

    public bool Equals(GrainReference? other) => other is not null && other.Id == Id && other.Cluster == Cluster;

    public override bool Equals(object? obj) => Equals(obj as GrainReference);

    public override int GetHashCode() => Id.GetHashCode();

    public override string ToString() => Id.ToString();

    /// <summary>The activation to send to; created when there is none.</summary>
    internal Activation Locate()
    {
        Activation? activation = _lastActivation;
        if (activation is null || activation.IsGone)
        {
            activation = Cluster.Locate(Id);
            _lastActivation = activation;
        }

        return activation;
    }

    // The four Send methods are called by generated code, one for each kind of return type.
    public Task<T> SendTaskOf<T>(Request<T> request, int method) => Send(request, method);

    public Task SendTask(Request<Nothing> request, int method) => Send(request, method);

    public ValueTask<T> SendValueTaskOf<T>(Request<T> request, int method) => new(Send(request, method));

    public ValueTask SendValueTask(Request<Nothing> request, int method) => new(Send(request, method));

    private Task<T> Send<T>(Request<T> request, int method)
    {
        MethodDescriptor descriptor = _methods[method];
        request.Reference = this;
        request.Descriptor = descriptor;
        if (descriptor.HasToken)
        {
            if (request.CallerToken.IsCancellationRequested)
            {
                return Task.FromCanceled<T>(request.CallerToken);
            }
        }

        Cluster.Send(request);
        return descriptor.OneWay ? OneWayResult<T>.Done : request.Promise;
    }

    private static class OneWayResult<T>
    {
        internal static readonly Task<T> Done = Task.FromResult<T>(default!);
    }
}
