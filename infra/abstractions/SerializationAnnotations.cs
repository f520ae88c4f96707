namespace Orleans;

// At home in Orleans.Serialization.Abstractions. Only what grain code writes; the signatures are the official ones.

/// <summary>Stand-in for the official attribute.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Struct | AttributeTargets.Enum)]
public sealed class GenerateSerializerAttribute : Attribute
{
}

/// <summary>Stand-in for the official attribute.</summary>
[AttributeUsage(AttributeTargets.Field | AttributeTargets.Property | AttributeTargets.Parameter | AttributeTargets.Class
    | AttributeTargets.Struct | AttributeTargets.Enum | AttributeTargets.Method)]
public sealed class IdAttribute : Attribute
{
    /// <summary>Creates the attribute.</summary>
    public IdAttribute(uint id) => Id = id;

    /// <summary>The field number.</summary>
    public uint Id { get; }
}

/// <summary>Stand-in for the official attribute.</summary>
[AttributeUsage(
    AttributeTargets.Class | AttributeTargets.Interface | AttributeTargets.Struct | AttributeTargets.Enum | AttributeTargets.Method, AllowMultiple = true)]
public sealed class AliasAttribute : Attribute
{
    /// <summary>Creates the attribute.</summary>
    public AliasAttribute(string alias) => Alias = alias;

    /// <summary>The wire name.</summary>
    public string Alias { get; }
}

/// <summary>Stand-in for the official attribute.</summary>
[AttributeUsage(
    AttributeTargets.Class | AttributeTargets.Struct | AttributeTargets.Field | AttributeTargets.Property | AttributeTargets.Parameter | AttributeTargets.ReturnValue,
    Inherited = false)]
public sealed class ImmutableAttribute : Attribute
{
}

/// <summary>Stand-in for the official attribute.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class ResponseTimeoutAttribute : Attribute
{
    /// <summary>Creates the attribute.</summary>
    public ResponseTimeoutAttribute(string timeout) => Timeout = TimeSpan.Parse(timeout, System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>The timeout.</summary>
    public TimeSpan? Timeout { get; init; }
}
