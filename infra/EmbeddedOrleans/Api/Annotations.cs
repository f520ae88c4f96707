namespace Orleans;

/// <summary>Marks a type whose values cross a grain call. The embedded host passes values by reference; Orleans generates a serializer.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Struct | AttributeTargets.Enum)]
public sealed class GenerateSerializerAttribute : Attribute
{
}

/// <summary>The stable field number of a serialized member.</summary>
[AttributeUsage(AttributeTargets.Field | AttributeTargets.Property | AttributeTargets.Parameter | AttributeTargets.Class
    | AttributeTargets.Struct | AttributeTargets.Enum | AttributeTargets.Method)]
public sealed class IdAttribute : Attribute
{
    /// <summary>Creates the attribute.</summary>
    /// <param name="id">The field number, unique in its type and never reused.</param>
    public IdAttribute(uint id) => Id = id;

    /// <summary>The field number.</summary>
    public uint Id { get; }
}

/// <summary>The stable wire name of a type or method, so that it can be renamed.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Interface | AttributeTargets.Struct | AttributeTargets.Enum | AttributeTargets.Method, AllowMultiple = true)]
public sealed class AliasAttribute : Attribute
{
    /// <summary>Creates the attribute.</summary>
    /// <param name="alias">The wire name.</param>
    public AliasAttribute(string alias) => Alias = alias;

    /// <summary>The wire name.</summary>
    public string Alias { get; }
}

/// <summary>Promises that a value is never changed after it was sent, so that it needs no copy.</summary>
[AttributeUsage(
    AttributeTargets.Class | AttributeTargets.Struct | AttributeTargets.Field | AttributeTargets.Property | AttributeTargets.Parameter | AttributeTargets.ReturnValue,
    Inherited = false)]
public sealed class ImmutableAttribute : Attribute
{
}

/// <summary>A response timeout for one method, in place of the host's.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class ResponseTimeoutAttribute : Attribute
{
    /// <summary>Creates the attribute.</summary>
    /// <param name="timeout">A <see cref="TimeSpan"/> in its invariant text form, for example <c>00:01:00</c>.</param>
    public ResponseTimeoutAttribute(string timeout) => Timeout = TimeSpan.Parse(timeout, System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>The timeout.</summary>
    public TimeSpan? Timeout { get; init; }
}
