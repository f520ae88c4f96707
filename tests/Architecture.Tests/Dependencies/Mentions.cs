using System.Reflection;
using System.Reflection.Emit;

namespace OrleansStreams.Architecture.Dependencies;

/// <summary>Finds which types a class mentions: in its signatures and in the code of its methods.</summary>
internal static class Mentions
{
    private const BindingFlags All =
        BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    private static readonly Dictionary<short, OpCode> s_opCodes = typeof(OpCodes).GetFields()
        .Select(f => (OpCode)f.GetValue(null)!).ToDictionary(o => o.Value);

    /// <summary>The top-level types of an assembly, each with all types that it, its nested types and its compiler-made ones mention.</summary>
    public static Dictionary<Type, HashSet<Type>> Of(IEnumerable<Type> types)
    {
        Dictionary<Type, HashSet<Type>> mentions = [];
        foreach (Type type in types)
        {
            Type outermost = type;
            while (outermost.DeclaringType is { } outer)
            {
                outermost = outer;
            }

            if (!mentions.TryGetValue(outermost, out HashSet<Type>? mentioned))
            {
                mentions.Add(outermost, mentioned = []);
            }

            Collect(type, mentioned);
        }

        return mentions;
    }

    private static void Collect(Type type, HashSet<Type> mentioned)
    {
        Add(type.BaseType, mentioned);
        foreach (Type i in type.GetInterfaces())
        {
            Add(i, mentioned);
        }

        foreach (FieldInfo field in type.GetFields(All))
        {
            Add(field.FieldType, mentioned);
        }

        foreach (MethodBase method in type.GetMethods(All).Concat<MethodBase>(type.GetConstructors(All)))
        {
            Add((method as MethodInfo)?.ReturnType, mentioned);
            foreach (ParameterInfo parameter in method.GetParameters())
            {
                Add(parameter.ParameterType, mentioned);
            }

            CollectBody(method, mentioned);
        }
    }

    private static void CollectBody(MethodBase method, HashSet<Type> mentioned)
    {
        if (method.GetMethodBody() is not { } body)
        {
            return;
        }

        foreach (LocalVariableInfo local in body.LocalVariables)
        {
            Add(local.LocalType, mentioned);
        }

        byte[] il = body.GetILAsByteArray()!;
        for (int at = 0; at < il.Length;)
        {
            short value = il[at++];
            if (value == 0xFE)
            {
                value = unchecked((short)(0xFE00 | il[at++]));
            }

            OpCode code = s_opCodes[value];
            switch (code.OperandType)
            {
                case OperandType.InlineField or OperandType.InlineMethod or OperandType.InlineTok or OperandType.InlineType:
                    AddMember(method, BitConverter.ToInt32(il, at), mentioned);
                    at += 4;
                    break;
                case OperandType.InlineSwitch:
                    at += 4 + (4 * BitConverter.ToInt32(il, at));
                    break;
                default:
                    at += OperandSize(code.OperandType);
                    break;
            }
        }
    }

    private static int OperandSize(OperandType type) => type switch
    {
        OperandType.InlineNone => 0,
        OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
        OperandType.InlineVar => 2,
        OperandType.InlineI8 or OperandType.InlineR => 8,
        _ => 4,
    };

    private static void AddMember(MethodBase method, int token, HashSet<Type> mentioned)
    {
        Type[] typeArguments = method.DeclaringType!.GetGenericArguments();
        Type[] methodArguments = method.IsGenericMethod ? method.GetGenericArguments() : [];
        MemberInfo? member = method.Module.ResolveMember(token, typeArguments, methodArguments);
        Add(member as Type ?? member?.DeclaringType, mentioned);
        if (member is MethodInfo { IsGenericMethod: true } generic)
        {
            foreach (Type argument in generic.GetGenericArguments())
            {
                Add(argument, mentioned);
            }
        }
    }

    private static void Add(Type? type, HashSet<Type> mentioned)
    {
        if (type is null || type.IsGenericParameter)
        {
            return;
        }

        if (type.HasElementType)
        {
            Add(type.GetElementType(), mentioned);
            return;
        }

        foreach (Type argument in type.IsGenericType ? type.GetGenericArguments() : [])
        {
            Add(argument, mentioned);
        }

        mentioned.Add(type.IsGenericType ? type.GetGenericTypeDefinition() : type);
    }
}

/// <summary>Which way dependencies may point; each rule answers with what breaks it.</summary>
internal static class DependencyRules
{
    /// <summary>Storage knows no grains.</summary>
    public static List<string> StorageKnowsNoGrains(IEnumerable<Type> types, string storageNamespace) =>
        Mentions.Of(types)
            .Where(m => m.Key.Namespace == storageNamespace || m.Key.Namespace?.StartsWith($"{storageNamespace}.", StringComparison.Ordinal) == true)
            .SelectMany(m => m.Value.Where(IsGrain).Select(t => $"{m.Key.FullName} mentions the grain type {t.FullName}"))
            .Order(StringComparer.Ordinal).ToList();

    /// <summary>Engines are testable without any host: only grains mention Orleans.</summary>
    public static List<string> OnlyGrainsKnowOrleans(IEnumerable<Type> types, IReadOnlyDictionary<string, string> exceptions) =>
        Mentions.Of(types)
            .Where(m => !m.Key.Name.EndsWith("Grain", StringComparison.Ordinal) && !exceptions.ContainsKey(m.Key.FullName!) && !IsGenerated(m.Key))
            .SelectMany(m => m.Value.Where(t => IsOrleans(t) || IsGrain(t)).Select(t => $"{m.Key.FullName} mentions {t.FullName}"))
            .Order(StringComparer.Ordinal).ToList();

    private static bool IsGrain(Type type) => typeof(Orleans.Runtime.IAddressable).IsAssignableFrom(type) || typeof(Orleans.IGrainBase).IsAssignableFrom(type);

    private static bool IsGenerated(Type type) => type.Namespace?.StartsWith("OrleansCodeGen", StringComparison.Ordinal) == true;

    // Attributes are no dependency: any host may ignore them.
    private static bool IsOrleans(Type type) =>
        BuildFacts.IsRuntime(type.Assembly) && !typeof(Attribute).IsAssignableFrom(type)
        && (type.Namespace == "Orleans" || type.Namespace!.StartsWith("Orleans.", StringComparison.Ordinal));
}
