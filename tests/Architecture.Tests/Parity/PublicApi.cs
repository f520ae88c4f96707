using System.Collections.Immutable;
using System.Globalization;
using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace OrleansStreams.Architecture.Parity;

/// <summary>One public type as text: what a user's code binds to.</summary>
/// <param name="Shape">Kind, modifiers, base type, generic parameters, attribute usage.</param>
/// <param name="Interfaces">The interfaces it lists.</param>
/// <param name="Members">Its public and protected members with their full signatures.</param>
internal sealed record ApiType(string Shape, ImmutableSortedSet<string> Interfaces, ImmutableSortedSet<string> Members);

/// <summary>
/// The public API of an assembly, read from its metadata alone, so that an assembly whose dependencies are missing can be read too.
/// </summary>
internal static class PublicApi
{
    /// <param name="path">The assembly.</param>
    /// <param name="prefix">Only types whose namespace starts with this; it is cut off names everywhere.</param>
    public static ImmutableSortedDictionary<string, ApiType> Read(string path, string prefix = "")
    {
        using var file = new PEReader(File.OpenRead(path));
        MetadataReader metadata = file.GetMetadataReader();
        var names = new TypeNames(prefix);
        var types = ImmutableSortedDictionary.CreateBuilder<string, ApiType>(StringComparer.Ordinal);
        foreach (TypeDefinitionHandle handle in metadata.TypeDefinitions)
        {
            TypeDefinition type = metadata.GetTypeDefinition(handle);
            string ns = metadata.GetString(type.Namespace);
            if ((type.Attributes & TypeAttributes.VisibilityMask) == TypeAttributes.Public && ns.StartsWith($"{prefix}Orleans", StringComparison.Ordinal))
            {
                types.Add(names.GetTypeFromDefinition(metadata, handle, 0), Describe(metadata, type, names));
            }
        }

        return types.ToImmutable();
    }

    private static ApiType Describe(MetadataReader metadata, TypeDefinition type, TypeNames names)
    {
        string[] generics = GenericNames(metadata, type.GetGenericParameters());
        var context = new GenericContext(generics, []);
        string baseType = type.BaseType.IsNil ? "none" : names.Name(metadata, type.BaseType, context);
        TypeAttributes modifiers = type.Attributes & (TypeAttributes.Interface | TypeAttributes.Sealed | TypeAttributes.Abstract);
        string shape = $"{modifiers} : {baseType}{Constraints(metadata, type.GetGenericParameters(), names, context)}{Usage(metadata, type)}";
        IEnumerable<string> interfaces = type.GetInterfaceImplementations()
            .Select(h => names.Name(metadata, metadata.GetInterfaceImplementation(h).Interface, context));
        IEnumerable<string> methods = type.GetMethods().Select(metadata.GetMethodDefinition).Where(IsVisible)
            .Select(m => Signature(metadata, m, names, generics));
        IEnumerable<string> fields = type.GetFields().Select(metadata.GetFieldDefinition).Where(f => (f.Attributes & FieldAttributes.FieldAccessMask) == FieldAttributes.Public)
            .Select(f => $"field {f.DecodeSignature(names, context)} {metadata.GetString(f.Name)} = {Constant(metadata, f.GetDefaultValue())}");
        return new ApiType(shape, [.. interfaces], [.. methods, .. fields]);
    }

    private static bool IsVisible(MethodDefinition method) => (method.Attributes & MethodAttributes.MemberAccessMask)
        is MethodAttributes.Public or MethodAttributes.Family or MethodAttributes.FamORAssem;

    private static string Signature(MetadataReader metadata, MethodDefinition method, TypeNames names, string[] typeGenerics)
    {
        string[] generics = GenericNames(metadata, method.GetGenericParameters());
        var context = new GenericContext(typeGenerics, generics);
        MethodSignature<string> signature = method.DecodeSignature(names, context);
        Parameter[] declared = method.GetParameters().Select(metadata.GetParameter).Where(p => p.SequenceNumber > 0).OrderBy(p => p.SequenceNumber).ToArray();
        IEnumerable<string> parameters = signature.ParameterTypes.Select((type, i) =>
            $"{type} {metadata.GetString(declared[i].Name)}{(declared[i].GetDefaultValue().IsNil ? "" : $" = {Constant(metadata, declared[i].GetDefaultValue())}")}");
        MethodAttributes modifiers = method.Attributes & (MethodAttributes.MemberAccessMask | MethodAttributes.Static | MethodAttributes.Virtual);
        string arity = generics.Length == 0 ? "" : $"<{string.Join(", ", generics)}>";
        return $"{modifiers} {signature.ReturnType} {metadata.GetString(method.Name)}{arity}({string.Join(", ", parameters)})"
            + Constraints(metadata, method.GetGenericParameters(), names, context);
    }

    private static string[] GenericNames(MetadataReader metadata, GenericParameterHandleCollection parameters) =>
        parameters.Select(p => metadata.GetString(metadata.GetGenericParameter(p).Name)).ToArray();

    private static string Constraints(MetadataReader metadata, GenericParameterHandleCollection parameters, TypeNames names, GenericContext context) =>
        string.Concat(parameters.Select(metadata.GetGenericParameter).Select(p =>
            $" where {metadata.GetString(p.Name)}: {p.Attributes} {string.Join(", ", p.GetConstraints().Select(c => names.Name(metadata, metadata.GetGenericParameterConstraint(c).Type, context)))}"));

    private static string Constant(MetadataReader metadata, ConstantHandle handle)
    {
        if (handle.IsNil)
        {
            return "none";
        }

        Constant constant = metadata.GetConstant(handle);
        object? value = metadata.GetBlobReader(constant.Value).ReadConstant(constant.TypeCode);
        return Convert.ToString(value, CultureInfo.InvariantCulture) ?? "null";
    }

    // [AttributeUsage] decides what an attribute may be written on.
    private static string Usage(MetadataReader metadata, TypeDefinition type)
    {
        foreach (CustomAttribute attribute in type.GetCustomAttributes().Select(metadata.GetCustomAttribute))
        {
            if (attribute.Constructor.Kind == HandleKind.MemberReference
                && metadata.GetMemberReference((MemberReferenceHandle)attribute.Constructor).Parent is { Kind: HandleKind.TypeReference } parent
                && metadata.GetString(metadata.GetTypeReference((TypeReferenceHandle)parent).Name) == nameof(AttributeUsageAttribute))
            {
                return $" usage {Convert.ToHexString(UsageOf(metadata.GetBlobBytes(attribute.Value)))}";
            }
        }

        return "";
    }

    // "AllowMultiple = false" written out is the same as nothing; 0x54 marks a property, 0x02 a boolean.
    private static byte[] UsageOf(byte[] blob)
    {
        byte[] explicitFalse = [0x54, 0x02, 13, .. "AllowMultiple"u8, 0];
        int at = blob.AsSpan().IndexOf(explicitFalse);
        return at < 0 ? blob : [.. blob[..6], (byte)(blob[6] - 1), 0, .. blob[8..at], .. blob[(at + explicitFalse.Length)..]];
    }
}

internal sealed record GenericContext(string[] Type, string[] Method);

/// <summary>Writes the types in signatures as text.</summary>
internal sealed class TypeNames(string prefix) : ISignatureTypeProvider<string, GenericContext>
{
    public string Name(MetadataReader metadata, EntityHandle handle, GenericContext context) => handle.Kind switch
    {
        HandleKind.TypeDefinition => GetTypeFromDefinition(metadata, (TypeDefinitionHandle)handle, 0),
        HandleKind.TypeReference => GetTypeFromReference(metadata, (TypeReferenceHandle)handle, 0),
        _ => metadata.GetTypeSpecification((TypeSpecificationHandle)handle).DecodeSignature(this, context),
    };

    public string GetTypeFromDefinition(MetadataReader reader, TypeDefinitionHandle handle, byte rawTypeKind)
    {
        TypeDefinition type = reader.GetTypeDefinition(handle);
        TypeDefinitionHandle outer = type.GetDeclaringType();
        return outer.IsNil
            ? Full(reader.GetString(type.Namespace), reader.GetString(type.Name))
            : $"{GetTypeFromDefinition(reader, outer, 0)}+{reader.GetString(type.Name)}";
    }

    public string GetTypeFromReference(MetadataReader reader, TypeReferenceHandle handle, byte rawTypeKind)
    {
        TypeReference type = reader.GetTypeReference(handle);
        return type.ResolutionScope.Kind == HandleKind.TypeReference
            ? $"{GetTypeFromReference(reader, (TypeReferenceHandle)type.ResolutionScope, 0)}+{reader.GetString(type.Name)}"
            : Full(reader.GetString(type.Namespace), reader.GetString(type.Name));
    }

    public string GetTypeFromSpecification(MetadataReader reader, GenericContext genericContext, TypeSpecificationHandle handle, byte rawTypeKind) =>
        reader.GetTypeSpecification(handle).DecodeSignature(this, genericContext);

    public string GetPrimitiveType(PrimitiveTypeCode typeCode) => typeCode.ToString();

    public string GetArrayType(string elementType, ArrayShape shape) => $"{elementType}[{shape.Rank}]";

    public string GetSZArrayType(string elementType) => $"{elementType}[]";

    public string GetByReferenceType(string elementType) => $"{elementType}&";

    public string GetPointerType(string elementType) => $"{elementType}*";

    public string GetPinnedType(string elementType) => elementType;

    public string GetFunctionPointerType(MethodSignature<string> signature) => "function pointer";

    public string GetGenericInstantiation(string genericType, ImmutableArray<string> typeArguments) => $"{genericType}<{string.Join(", ", typeArguments)}>";

    public string GetGenericMethodParameter(GenericContext genericContext, int index) => genericContext.Method[index];

    public string GetGenericTypeParameter(GenericContext genericContext, int index) => genericContext.Type[index];

    public string GetModifiedType(string modifier, string unmodifiedType, bool isRequired) => $"{unmodifiedType} mod({modifier})";

    private string Full(string ns, string name) => ns.StartsWith(prefix, StringComparison.Ordinal) ? $"{ns[prefix.Length..]}.{name}" : $"{ns}.{name}";
}
