using System.Diagnostics.CodeAnalysis;

namespace OrleansStreams.Topologies;

/// <summary>A change of one key of a table: what the key's value was and what it is now. Without a new value the key was deleted.</summary>
public readonly record struct Change<TValue>
{
    internal Change(bool hasOld, TValue? old, bool hasNew, TValue? value)
    {
        HasOld = hasOld;
        Old = old;
        HasNew = hasNew;
        New = value;
    }

    /// <summary>Whether the key had a value.</summary>
    [MemberNotNullWhen(true, nameof(Old))]
    public bool HasOld { get; }

    /// <summary>The value before; the type's default without one.</summary>
    public TValue? Old { get; }

    /// <summary>Whether the key has a value now; else it is deleted.</summary>
    [MemberNotNullWhen(true, nameof(New))]
    public bool HasNew { get; }

    /// <summary>The value now; the type's default without one.</summary>
    public TValue? New { get; }
}

/// <summary>Makes <see cref="Change{TValue}"/>.</summary>
public static class Change
{
    /// <summary>A key came.</summary>
    public static Change<TValue> Added<TValue>(TValue value) => new(false, default, true, value);

    /// <summary>A key's value changed.</summary>
    public static Change<TValue> Updated<TValue>(TValue old, TValue value) => new(true, old, true, value);

    /// <summary>A key was deleted.</summary>
    public static Change<TValue> Deleted<TValue>(TValue old) => new(true, old, false, default);
}
