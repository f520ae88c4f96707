using System.Reflection;

namespace OrleansStreams.Architecture.Messages;

/// <summary>A type that crosses grain calls, and where it was met first.</summary>
internal sealed record Met(Type Type, string Where);

/// <summary>Finds all types that cross the calls of grain interfaces: parameters, results and whatever these hold.</summary>
internal sealed class MessageWalk
{
    private static readonly HashSet<Type> s_values =
    [
        typeof(bool), typeof(byte), typeof(sbyte), typeof(short), typeof(ushort), typeof(int), typeof(uint), typeof(long), typeof(ulong), typeof(char),
        typeof(float), typeof(double), typeof(decimal), typeof(string), typeof(Guid), typeof(DateTime), typeof(DateTimeOffset), typeof(TimeSpan),
        typeof(DateOnly), typeof(TimeOnly), typeof(Uri), typeof(Version), typeof(Int128), typeof(UInt128),
    ];

    // Containers for which Orleans brings codecs; those in the first group cannot be changed.
    private static readonly HashSet<Type> s_immutableContainers =
    [
        typeof(Nullable<>), typeof(ReadOnlyMemory<>), typeof(KeyValuePair<,>), typeof(IReadOnlyList<>), typeof(IReadOnlyCollection<>), typeof(IReadOnlyDictionary<,>),
        typeof(IReadOnlySet<>), typeof(System.Collections.Immutable.ImmutableArray<>), typeof(System.Collections.Immutable.ImmutableList<>),
        typeof(System.Collections.Immutable.ImmutableDictionary<,>), typeof(System.Collections.Immutable.ImmutableSortedDictionary<,>),
        typeof(System.Collections.Immutable.ImmutableHashSet<>), typeof(System.Collections.Immutable.ImmutableSortedSet<>),
        typeof(ValueTuple<,>), typeof(ValueTuple<,,>), typeof(ValueTuple<,,,>), typeof(Tuple<,>), typeof(Tuple<,,>),
    ];

    private static readonly HashSet<Type> s_mutableContainers =
        [typeof(List<>), typeof(Dictionary<,>), typeof(HashSet<>), typeof(Queue<>), typeof(Stack<>), typeof(SortedDictionary<,>), typeof(Memory<>)];

    private readonly Dictionary<Type, string> _met = [];

    public MessageWalk(IEnumerable<Type> grainInterfaces)
    {
        Interfaces = grainInterfaces.ToArray();
        foreach (MethodInfo method in Interfaces.SelectMany(i => i.GetMethods()))
        {
            string where = $"{method.DeclaringType!.Name}.{method.Name}";
            foreach (ParameterInfo parameter in method.GetParameters().Where(p => p.ParameterType != typeof(CancellationToken)))
            {
                Meet(parameter.ParameterType, $"{where}({parameter.Name})");
            }

            if (method.ReturnType.IsGenericType)
            {
                Meet(method.ReturnType.GetGenericArguments()[0], $"{where} result");
            }
        }
    }

    public Type[] Interfaces { get; }

    /// <summary>Every type met but the elements of the framework's own.</summary>
    public IEnumerable<Met> All => _met.Select(m => new Met(m.Key, m.Value)).OrderBy(m => m.Type.FullName, StringComparer.Ordinal);

    /// <summary>The message types: those that aren't the framework's.</summary>
    public IEnumerable<Met> Messages => All.Where(m => !IsFrameworks(m.Type));

    public static Type[] GrainInterfacesOf(Assembly assembly) =>
        assembly.GetTypes().Where(t => t.IsInterface && typeof(Orleans.IGrain).IsAssignableFrom(t)).ToArray();

    public static bool IsValue(Type type) => s_values.Contains(type);

    public static bool IsImmutableContainer(Type type) => type.IsGenericType && s_immutableContainers.Contains(type.GetGenericTypeDefinition());

    public static bool IsMutableContainer(Type type) =>
        type.IsArray || (type.IsGenericType && s_mutableContainers.Contains(type.GetGenericTypeDefinition()));

    /// <summary>The fields that a serializer has to carry.</summary>
    public static IEnumerable<FieldInfo> FieldsOf(Type type) =>
        type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)
            .Where(f => !f.IsDefined(typeof(NonSerializedAttribute)));

    private static bool IsFrameworks(Type type) => type.Assembly.GetName().Name!.StartsWith("System", StringComparison.Ordinal) || type.HasElementType;

    private void Meet(Type type, string where)
    {
        if (typeof(Orleans.Runtime.IAddressable).IsAssignableFrom(type) || !_met.TryAdd(type, where))
        {
            return;
        }

        if (type.HasElementType)
        {
            Meet(type.GetElementType()!, where);
        }

        foreach (Type argument in type.GetGenericArguments())
        {
            Meet(argument, where);
        }

        if (IsFrameworks(type) || type.IsEnum)
        {
            return;
        }

        foreach (FieldInfo field in FieldsOf(type))
        {
            Meet(field.FieldType, $"{type.Name}.{field.Name.Replace("k__BackingField", "", StringComparison.Ordinal).Trim('<', '>')}");
        }

        if (type.BaseType is { } parent && !IsFrameworks(parent))
        {
            Meet(parent, $"{type.Name}'s base");
        }

        if (!type.IsSealed)
        {
            foreach (Type derived in type.Assembly.GetTypes().Where(t => t != type && type.IsAssignableFrom(t)))
            {
                Meet(derived, $"{type.Name}, which it derives from");
            }
        }
    }
}

/// <summary>What must hold of messages; each rule answers with what breaks it.</summary>
internal static class MessageRules
{
    /// <summary>Orleans can carry everything, and names don't depend on C# names.</summary>
    public static List<string> Serialization(MessageWalk walk)
    {
        List<string> broken = [];
        Dictionary<string, string> aliases = [];
        foreach (Type grain in walk.Interfaces)
        {
            CheckAlias(grain, grain.Name, aliases, broken);
            Dictionary<string, string> methodAliases = [];
            foreach (MethodInfo method in grain.GetMethods())
            {
                CheckAlias(method, $"{grain.Name}.{method.Name}", methodAliases, broken);
            }
        }

        foreach ((Type type, string where) in walk.All)
        {
            if (MessageWalk.IsValue(type) || MessageWalk.IsImmutableContainer(type) || MessageWalk.IsMutableContainer(type))
            {
                continue;
            }

            string name = $"{type.Name} (at {where})";
            if (type.Assembly.GetName().Name!.StartsWith("System", StringComparison.Ordinal) || type.IsInterface)
            {
                broken.Add($"{name}: Orleans has no codec for it");
                continue;
            }

            if (!type.IsDefined(typeof(Orleans.GenerateSerializerAttribute), inherit: false))
            {
                broken.Add($"{name}: lacks [GenerateSerializer]");
            }

            CheckAlias(type, name, aliases, broken);
            if (!type.IsEnum)
            {
                CheckIds(type, name, broken);
            }
        }

        return broken;
    }

    /// <summary>Nobody can change a message after it was made, so the embedded host need not copy it.</summary>
    public static List<string> Immutability(MessageWalk walk)
    {
        List<string> broken = [];
        foreach ((Type type, string where) in walk.All)
        {
            string name = $"{type.Name} (at {where})";
            if (MessageWalk.IsMutableContainer(type) && type != typeof(byte[]))
            {
                broken.Add($"{name}: can be changed; use an immutable collection");
            }
        }

        foreach ((Type type, string where) in walk.Messages.Where(m => !m.Type.IsEnum))
        {
            string name = $"{type.Name} (at {where})";
            if (!typeof(Exception).IsAssignableFrom(type) && !type.IsInterface && !type.IsDefined(typeof(Orleans.ImmutableAttribute), inherit: false))
            {
                broken.Add($"{name}: lacks [Immutable], so Orleans would copy it on every call");
            }

            broken.AddRange(MessageWalk.FieldsOf(type).Where(f => !f.IsInitOnly).Select(f => $"{name}: {f.Name} can be set; make it init-only"));
        }

        return broken;
    }

    private static void CheckAlias(MemberInfo member, string name, Dictionary<string, string> taken, List<string> broken)
    {
        Orleans.AliasAttribute[] aliases = member.GetCustomAttributes<Orleans.AliasAttribute>(inherit: false).ToArray();
        if (aliases.Length == 0)
        {
            broken.Add($"{name}: lacks [Alias]");
        }

        foreach (Orleans.AliasAttribute alias in aliases)
        {
            if (!taken.TryAdd(alias.Alias, name))
            {
                broken.Add($"{name}: has the alias '{alias.Alias}' of {taken[alias.Alias]}");
            }
        }
    }

    private static void CheckIds(Type type, string name, List<string> broken)
    {
        HashSet<uint> ids = [];
        foreach (FieldInfo field in MessageWalk.FieldsOf(type))
        {
            string property = field.Name.StartsWith('<') ? field.Name[1..field.Name.IndexOf('>', StringComparison.Ordinal)] : field.Name;
            MemberInfo member = type.GetProperty(property, BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly) ?? (MemberInfo)field;
            if ((member.GetCustomAttribute<Orleans.IdAttribute>() ?? field.GetCustomAttribute<Orleans.IdAttribute>()) is not { } id)
            {
                broken.Add($"{name}: {property} lacks [Id]");
            }
            else if (!ids.Add(id.Id))
            {
                broken.Add($"{name}: {property} has the id {id.Id} of another member");
            }
        }
    }
}
