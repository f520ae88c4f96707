namespace EmbeddedOrleans.Storage;

/// <summary>Names one stored state.</summary>
/// <param name="GrainType">The grain's type.</param>
/// <param name="Key">The grain's key.</param>
/// <param name="StateName">The state's name within the grain.</param>
public readonly record struct GrainStateAddress(string GrainType, string Key, string StateName)
{
    /// <inheritdoc/>
    public override string ToString() => $"{GrainType}/{Key}/{StateName}";
}

/// <summary>A state as it is stored.</summary>
/// <param name="Json">The state as UTF-8 JSON.</param>
/// <param name="Etag">The tag of this version.</param>
public sealed record StoredGrainState(ReadOnlyMemory<byte> Json, string Etag);

/// <summary>
/// Where a storage provider keeps states. Every operation is atomic: it takes effect wholly or not at all, also over a crash, and a
/// write that has returned is durable as far as the store promises durability. Thread-safe.
/// </summary>
public interface IGrainStateStore
{
    /// <summary>The stored state, or null when there is none.</summary>
    /// <exception cref="GrainStateCorruptException">What is stored cannot be read.</exception>
    ValueTask<StoredGrainState?> ReadAsync(GrainStateAddress address);

    /// <summary>Stores a state, when the one there has the expected tag (null: when there is none).</summary>
    /// <returns>The new tag.</returns>
    /// <exception cref="Orleans.Storage.InconsistentStateException">The tag is another; nothing was written.</exception>
    ValueTask<string> WriteAsync(GrainStateAddress address, ReadOnlyMemory<byte> json, string? expectedEtag);

    /// <summary>Removes a state, when it has the expected tag (null: when there is none).</summary>
    /// <exception cref="Orleans.Storage.InconsistentStateException">The tag is another; nothing was removed.</exception>
    ValueTask ClearAsync(GrainStateAddress address, string? expectedEtag);
}

/// <summary>A stored state cannot be read: its file is damaged, or it isn't of the type that the grain expects.</summary>
public sealed class GrainStateCorruptException : Orleans.Runtime.OrleansException
{
    /// <summary>Creates the exception.</summary>
    public GrainStateCorruptException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception.</summary>
    public GrainStateCorruptException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Creates the exception.</summary>
    public GrainStateCorruptException()
    {
    }
}

/// <summary>Checks of tags that the stores share.</summary>
internal static class Etags
{
    internal static void Check(GrainStateAddress address, string? stored, string? expected)
    {
        if (stored != expected)
        {
            throw new Orleans.Storage.InconsistentStateException(
                $"The state {address} was changed by another writer: its tag is {stored ?? "none"}, this writer's is {expected ?? "none"}.", stored, expected);
        }
    }

    internal static string Next(string? stored) =>
        stored is null ? "1" : (long.Parse(stored, System.Globalization.CultureInfo.InvariantCulture) + 1).ToString(System.Globalization.CultureInfo.InvariantCulture);
}
