using System.Linq.Expressions;
using System.Reflection;
using Microsoft.Extensions.DependencyInjection;
using Orleans;
using Orleans.Concurrency;
using Orleans.Runtime;

namespace EmbeddedOrleans.Runtime;

/// <summary>A grain class: what calls and activations need to know of it, found once by reflection.</summary>
internal sealed class GrainClass
{
    private readonly Func<IServiceProvider, Activation, object> _factory;

    internal GrainClass(Type type)
    {
        Type = type;
        GrainType = NameOf(type);
        IsReentrant = type.IsDefined(typeof(ReentrantAttribute), inherit: true);
        Interfaces = type.GetInterfaces()
            .Where(i => typeof(IGrain).IsAssignableFrom(i) && i != typeof(IGrain) && i != typeof(IGrainWithStringKey))
            .ToArray();
        _factory = CompileFactory(type);
    }

    internal Type Type { get; }

    /// <summary>The type's stable name, formed as Orleans forms it: the class's name in lower case without the suffix "grain".</summary>
    internal string GrainType { get; }

    internal bool IsReentrant { get; }

    internal IReadOnlyList<Type> Interfaces { get; }

    public override string ToString() => GrainType;

    internal static bool IsGrainClass(Type type) =>
        type is { IsClass: true, IsAbstract: false, ContainsGenericParameters: false }
        && typeof(IGrain).IsAssignableFrom(type)
        && !typeof(GrainReference).IsAssignableFrom(type);

    internal object Create(IServiceProvider services, Activation activation) => _factory(services, activation);

    private static string NameOf(Type type)
    {
        string name = type.Name.ToLowerInvariant();
        return name.Length > 5 && name.EndsWith("grain", StringComparison.Ordinal) ? name[..^5] : name;
    }

    /// <summary>Compiles <c>(services, activation) => new T(...)</c>, so that no activation pays for reflection.</summary>
    private static Func<IServiceProvider, Activation, object> CompileFactory(Type type)
    {
        ConstructorInfo[] constructors = type.GetConstructors(BindingFlags.Instance | BindingFlags.Public);
        ConstructorInfo constructor = constructors.Length == 1
            ? constructors[0]
            : constructors.SingleOrDefault(c => c.IsDefined(typeof(ActivatorUtilitiesConstructorAttribute)))
                ?? throw new InvalidOperationException(
                    $"{type} needs exactly one public constructor, or one marked with [ActivatorUtilitiesConstructor]; it has {constructors.Length}.");
        ParameterExpression services = Expression.Parameter(typeof(IServiceProvider), "services");
        ParameterExpression activation = Expression.Parameter(typeof(Activation), "activation");
        IEnumerable<Expression> arguments = constructor.GetParameters().Select(p => Argument(type, p, services, activation));
        Expression create = Expression.Convert(Expression.New(constructor, arguments), typeof(object));
        return Expression.Lambda<Func<IServiceProvider, Activation, object>>(create, services, activation).Compile();
    }

    private static Expression Argument(Type grain, ParameterInfo parameter, ParameterExpression services, ParameterExpression activation)
    {
        Type type = parameter.ParameterType;
        if (parameter.GetCustomAttribute<PersistentStateAttribute>() is { } state)
        {
            if (!type.IsGenericType || type.GetGenericTypeDefinition() != typeof(IPersistentState<>))
            {
                throw new InvalidOperationException($"{grain}: the [PersistentState] parameter '{parameter.Name}' must be an IPersistentState<T>.");
            }

            return Expression.Call(
                activation,
                nameof(Activation.AddState),
                type.GetGenericArguments(),
                Expression.Constant(state.StateName),
                Expression.Constant(state.StorageName, typeof(string)));
        }

        if (type == typeof(IGrainContext))
        {
            return activation;
        }

        object? key = parameter.GetCustomAttribute<FromKeyedServicesAttribute>()?.Key;
        Func<IServiceProvider, object?> resolve = (key, parameter.HasDefaultValue) switch
        {
            (null, false) => provider => provider.GetRequiredService(type),
            (null, true) => provider => provider.GetService(type),
            (_, false) => provider => provider.GetRequiredKeyedService(type, key),
            (_, true) => provider => provider.GetKeyedServices(type, key).LastOrDefault(),
        };
        Expression service = Expression.Invoke(Expression.Constant(resolve), services);
        if (parameter.HasDefaultValue)
        {
            object? fallback = parameter.DefaultValue ?? (type.IsValueType ? Activator.CreateInstance(type) : null);
            service = Expression.Coalesce(service, Expression.Constant(fallback, typeof(object)));
        }

        return Expression.Convert(service, type);
    }
}

/// <summary>The grain classes of a cluster and the proxies of their interfaces.</summary>
internal sealed class GrainClasses
{
    private readonly Dictionary<Type, List<GrainClass>> _byInterface = [];
    private readonly Dictionary<Type, ProxyType> _proxies = [];

    internal GrainClasses(IEnumerable<Assembly> assemblies)
    {
        Dictionary<string, GrainClass> byName = [];
        foreach (Type type in assemblies.Distinct().SelectMany(a => a.GetTypes()).Where(GrainClass.IsGrainClass).OrderBy(t => t.FullName, StringComparer.Ordinal))
        {
            var grainClass = new GrainClass(type);
            if (!byName.TryAdd(grainClass.GrainType, grainClass))
            {
                throw new InvalidOperationException(
                    $"{type} and {byName[grainClass.GrainType].Type} have the same grain type '{grainClass.GrainType}'; rename one.");
            }

            foreach (Type grainInterface in grainClass.Interfaces)
            {
                if (!_byInterface.TryGetValue(grainInterface, out List<GrainClass>? classes))
                {
                    _byInterface.Add(grainInterface, classes = []);
                    _proxies.Add(grainInterface, ProxyType.For(grainInterface));
                }

                classes.Add(grainClass);
            }
        }
    }

    /// <summary>A reference to a grain.</summary>
    internal GrainReference Reference(EmbeddedCluster cluster, Type grainInterface, string key, string? classNamePrefix)
    {
        if (!_byInterface.TryGetValue(grainInterface, out List<GrainClass>? classes))
        {
            throw new ArgumentException(
                $"Could not find an implementation for interface {grainInterface.FullName}. Add its assembly with AddGrainAssembly.", nameof(grainInterface));
        }

        GrainClass grainClass = classes.Count == 1 && classNamePrefix is null ? classes[0] : Choose(classes, grainInterface, classNamePrefix);
        return _proxies[grainInterface].Create(cluster, new GrainIdentity(grainClass, key));
    }

    private static GrainClass Choose(List<GrainClass> classes, Type grainInterface, string? prefix)
    {
        // As in Orleans: without a prefix, the class that is named like the interface is the one.
        GrainClass[] matching = prefix is null
            ? classes.Where(c => grainInterface.Name == $"I{c.Type.Name}").ToArray()
            : classes.Where(c => c.Type.FullName!.StartsWith(prefix, StringComparison.Ordinal)).ToArray();
        return matching.Length == 1
            ? matching[0]
            : throw new ArgumentException(
                $"{matching.Length} of the {classes.Count} implementations of {grainInterface.FullName} match {(prefix is null ? "its name" : $"the class name prefix '{prefix}'")}; name exactly one by a prefix.",
                nameof(prefix));
    }
}
