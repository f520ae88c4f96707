using System.Collections.Concurrent;
using System.Reflection;
using System.Reflection.Emit;
using Orleans.Concurrency;

namespace EmbeddedOrleans.Runtime;

/// <summary>
/// The generated proxy of one grain interface. For each method there is a request class whose fields are the arguments and whose
/// <c>Call</c> calls the method on the grain; the proxy's method fills one in and sends it. Reflection happens here, once, at start.
/// </summary>
internal sealed class ProxyType
{
    private static readonly ConcurrentDictionary<Type, ProxyType> s_types = new();
    private static readonly Lock s_emit = new();
    private static readonly DynamicCode s_code = new();

    private readonly Func<EmbeddedCluster, GrainIdentity, MethodDescriptor[], GrainReference> _create;
    private readonly MethodDescriptor[] _methods;

    private ProxyType(Type grainInterface)
    {
        MethodInfo[] methods = Methods(grainInterface);
        _methods = methods.Select(Describe).ToArray();
        _create = Emit(grainInterface, methods);
    }

    internal static ProxyType For(Type grainInterface) => s_types.GetOrAdd(grainInterface, static type =>
    {
        lock (s_emit)
        {
            return new ProxyType(type);
        }
    });

    internal GrainReference Create(EmbeddedCluster cluster, GrainIdentity id) => _create(cluster, id, _methods);

    private static MethodInfo[] Methods(Type grainInterface) =>
        grainInterface.GetInterfaces().Append(grainInterface)
            .SelectMany(i => i.GetMethods(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            .Where(m => m.IsAbstract || m.IsVirtual)
            .ToArray();

    private static MethodDescriptor Describe(MethodInfo method)
    {
        string name = $"{method.DeclaringType!.FullName}.{method.Name}";
        ParameterInfo[] parameters = method.GetParameters();
        bool oneWay = method.IsDefined(typeof(OneWayAttribute));
        if (method.IsGenericMethod || method.IsSpecialName)
        {
            throw Unsupported(name, "is generic, a property or an event; use plain methods");
        }

        if (parameters.Any(p => p.ParameterType.IsByRef || p.ParameterType.IsByRefLike))
        {
            throw Unsupported(name, "has a ref, in, out or ref struct parameter; pass values");
        }

        if (parameters.Count(p => p.ParameterType == typeof(CancellationToken)) > 1)
        {
            throw Unsupported(name, "has more than one CancellationToken; keep one");
        }

        if (oneWay && method.ReturnType != typeof(Task) && method.ReturnType != typeof(ValueTask))
        {
            throw Unsupported(name, "is one-way but has a result; return Task or ValueTask");
        }

        return new MethodDescriptor(
            method.Name,
            oneWay,
            method.IsDefined(typeof(AlwaysInterleaveAttribute)),
            method.IsDefined(typeof(ReadOnlyAttribute)),
            parameters.Any(p => p.ParameterType == typeof(CancellationToken)),
            method.GetCustomAttribute<Orleans.ResponseTimeoutAttribute>()?.Timeout);
    }

    private static NotSupportedException Unsupported(string method, string why) => new($"The grain method {method} {why}.");

    private static Func<EmbeddedCluster, GrainIdentity, MethodDescriptor[], GrainReference> Emit(Type grainInterface, MethodInfo[] methods)
    {
        s_code.Reach(grainInterface);
        s_code.Reach(typeof(GrainReference));
        TypeBuilder proxy = s_code.Define(grainInterface.Name, typeof(GrainReference));
        proxy.AddInterfaceImplementation(grainInterface);
        Type[] arguments = [typeof(EmbeddedCluster), typeof(GrainIdentity), typeof(MethodDescriptor[])];
        ConstructorBuilder constructor = proxy.DefineConstructor(MethodAttributes.Public, CallingConventions.HasThis, arguments);
        ILGenerator il = constructor.GetILGenerator();
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldarg_1);
        il.Emit(OpCodes.Ldarg_2);
        il.Emit(OpCodes.Ldarg_3);
        il.Emit(OpCodes.Call, typeof(GrainReference).GetConstructor(BindingFlags.Instance | BindingFlags.NonPublic, arguments)!);
        il.Emit(OpCodes.Ret);
        for (int i = 0; i < methods.Length; i++)
        {
            EmitMethod(proxy, methods[i], i);
        }

        MethodBuilder factory = proxy.DefineMethod("New", MethodAttributes.Public | MethodAttributes.Static, typeof(GrainReference), arguments);
        il = factory.GetILGenerator();
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldarg_1);
        il.Emit(OpCodes.Ldarg_2);
        il.Emit(OpCodes.Newobj, constructor);
        il.Emit(OpCodes.Ret);
        return proxy.CreateType().GetMethod("New")!
            .CreateDelegate<Func<EmbeddedCluster, GrainIdentity, MethodDescriptor[], GrainReference>>();
    }

    private static void EmitMethod(TypeBuilder proxy, MethodInfo method, int index)
    {
        (Type requestBase, MethodInfo send) = ShapeOf(method);
        ParameterInfo[] parameters = method.GetParameters();
        Type request = EmitRequest(method, requestBase, parameters, out FieldInfo[] fields);

        MethodBuilder body = proxy.DefineMethod(
            $"{method.DeclaringType!.FullName}.{method.Name}",
            MethodAttributes.Private | MethodAttributes.Virtual | MethodAttributes.Final | MethodAttributes.HideBySig | MethodAttributes.NewSlot,
            method.ReturnType,
            parameters.Select(p => p.ParameterType).ToArray());
        proxy.DefineMethodOverride(body, method);
        ILGenerator il = body.GetILGenerator();
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Newobj, request.GetConstructor(Type.EmptyTypes)!);
        for (int i = 0; i < parameters.Length; i++)
        {
            il.Emit(OpCodes.Dup);
            il.Emit(OpCodes.Ldarg, i + 1);
            il.Emit(OpCodes.Stfld, fields[i]);
        }

        il.Emit(OpCodes.Ldc_I4, index);
        il.Emit(OpCodes.Call, send);
        il.Emit(OpCodes.Ret);
    }

    private static Type EmitRequest(MethodInfo method, Type requestBase, ParameterInfo[] parameters, out FieldInfo[] fields)
    {
        s_code.Reach(method.ReturnType);
        s_code.Reach(method.DeclaringType!);
        TypeBuilder request = s_code.Define($"{method.DeclaringType!.Name}.{method.Name}", requestBase);
        ConstructorInfo baseConstructor = requestBase.GetConstructor(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic, Type.EmptyTypes)!;
        ILGenerator il = request.DefineConstructor(MethodAttributes.Public, CallingConventions.HasThis, Type.EmptyTypes).GetILGenerator();
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Call, baseConstructor);
        il.Emit(OpCodes.Ret);

        MethodInfo abstractCall = requestBase.GetMethod(nameof(TaskRequest.Call))!;
        MethodBuilder call = request.DefineMethod(
            nameof(TaskRequest.Call), MethodAttributes.Public | MethodAttributes.Virtual | MethodAttributes.HideBySig, method.ReturnType, [typeof(object)]);
        request.DefineMethodOverride(call, abstractCall);
        il = call.GetILGenerator();
        il.Emit(OpCodes.Ldarg_1);
        il.Emit(OpCodes.Castclass, method.DeclaringType!);
        var argumentFields = new FieldInfo[parameters.Length];
        for (int i = 0; i < parameters.Length; i++)
        {
            Type type = parameters[i].ParameterType;
            il.Emit(OpCodes.Ldarg_0);
            if (type == typeof(CancellationToken))
            {
                argumentFields[i] = typeof(Request).GetField(nameof(Request.CallerToken))!;
                il.Emit(OpCodes.Ldfld, typeof(Request).GetField(nameof(Request.CalleeToken))!);
            }
            else
            {
                s_code.Reach(type);
                FieldBuilder field = request.DefineField($"a{i}", type, FieldAttributes.Public);
                argumentFields[i] = field;
                il.Emit(OpCodes.Ldfld, field);
            }
        }

        il.Emit(OpCodes.Callvirt, method);
        il.Emit(OpCodes.Ret);
        Type created = request.CreateType();
        fields = argumentFields.Select(f => created.GetField(f.Name)!).ToArray();
        return created;
    }

    private static (Type RequestBase, MethodInfo Send) ShapeOf(MethodInfo method)
    {
        Type type = method.ReturnType;
        if (type == typeof(Task))
        {
            return (typeof(TaskRequest), Sender(nameof(GrainReference.SendTask)));
        }

        if (type == typeof(ValueTask))
        {
            return (typeof(ValueTaskRequest), Sender(nameof(GrainReference.SendValueTask)));
        }

        Type? open = type.IsGenericType ? type.GetGenericTypeDefinition() : null;
        if (open == typeof(Task<>))
        {
            Type result = type.GetGenericArguments()[0];
            return (typeof(TaskRequest<>).MakeGenericType(result), Sender(nameof(GrainReference.SendTaskOf)).MakeGenericMethod(result));
        }

        if (open == typeof(ValueTask<>))
        {
            Type result = type.GetGenericArguments()[0];
            return (typeof(ValueTaskRequest<>).MakeGenericType(result), Sender(nameof(GrainReference.SendValueTaskOf)).MakeGenericMethod(result));
        }

        throw Unsupported($"{method.DeclaringType!.FullName}.{method.Name}", "must return Task, Task<T>, ValueTask or ValueTask<T>");
    }

    private static MethodInfo Sender(string name) => typeof(GrainReference).GetMethod(name)!;
}

/// <summary>The assembly that generated types live in. It may use internal types of the assemblies that it was told to reach.</summary>
internal sealed class DynamicCode
{
    private readonly AssemblyBuilder _assembly = AssemblyBuilder.DefineDynamicAssembly(new AssemblyName("EmbeddedOrleans.Proxies"), AssemblyBuilderAccess.Run);
    private readonly ModuleBuilder _module;
    private readonly ConstructorInfo _ignoresAccessChecks;
    private readonly HashSet<string> _reached = [];
    private int _count;

    internal DynamicCode()
    {
        _module = _assembly.DefineDynamicModule("EmbeddedOrleans.Proxies");
        _ignoresAccessChecks = DefineAttribute();
    }

    internal TypeBuilder Define(string name, Type parent) =>
        _module.DefineType($"{name}#{_count++}", TypeAttributes.Class | TypeAttributes.Public | TypeAttributes.Sealed, parent);

    /// <summary>Grain interfaces and their argument types may be internal.</summary>
    internal void Reach(Type type)
    {
        if (type.HasElementType)
        {
            Reach(type.GetElementType()!);
            return;
        }

        foreach (Type argument in type.GetGenericArguments())
        {
            Reach(argument);
        }

        string name = type.Assembly.GetName().Name!;
        if (_reached.Add(name))
        {
            _assembly.SetCustomAttribute(new CustomAttributeBuilder(_ignoresAccessChecks, [name]));
        }
    }

    // The runtime honours an attribute of this name wherever it is defined; the framework defines it nowhere publicly.
    private ConstructorInfo DefineAttribute()
    {
        TypeBuilder type = _module.DefineType(
            "System.Runtime.CompilerServices.IgnoresAccessChecksToAttribute", TypeAttributes.Public | TypeAttributes.Class, typeof(Attribute));
        FieldBuilder field = type.DefineField("_assemblyName", typeof(string), FieldAttributes.Private);
        ConstructorBuilder constructor = type.DefineConstructor(MethodAttributes.Public, CallingConventions.HasThis, [typeof(string)]);
        ILGenerator il = constructor.GetILGenerator();
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Call, typeof(Attribute).GetConstructor(BindingFlags.Instance | BindingFlags.NonPublic, Type.EmptyTypes)!);
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldarg_1);
        il.Emit(OpCodes.Stfld, field);
        il.Emit(OpCodes.Ret);
        PropertyBuilder property = type.DefineProperty("AssemblyName", PropertyAttributes.None, typeof(string), null);
        MethodBuilder getter = type.DefineMethod("get_AssemblyName", MethodAttributes.Public | MethodAttributes.HideBySig | MethodAttributes.SpecialName, typeof(string), null);
        il = getter.GetILGenerator();
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldfld, field);
        il.Emit(OpCodes.Ret);
        property.SetGetMethod(getter);
        var usage = new CustomAttributeBuilder(
            typeof(AttributeUsageAttribute).GetConstructor([typeof(AttributeTargets)])!,
            [AttributeTargets.Assembly],
            [typeof(AttributeUsageAttribute).GetProperty(nameof(AttributeUsageAttribute.AllowMultiple))!],
            [true]);
        type.SetCustomAttribute(usage);
        return type.CreateType().GetConstructor([typeof(string)])!;
    }
}
