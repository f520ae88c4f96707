using System.Diagnostics.CodeAnalysis;
using OrleansStreams.Processing.State;

namespace OrleansStreams.Processing.Tables;

/// <summary>Reads a table, whether it is kept or follows from another one: what joins look values up in.</summary>
internal abstract class TableReader<TKey, TValue>
{
    /// <param name="keyBytes">The key's bytes.</param>
    /// <param name="key">The key.</param>
    /// <param name="value">Its value.</param>
    /// <returns>Whether the key has a value.</returns>
    public abstract bool TryGet(ReadOnlySpan<byte> keyBytes, TKey key, [MaybeNullWhen(false)] out TValue value);
}

internal sealed class StoredTableReader<TKey, TValue>(KeyValueStore<TKey, TValue> store) : TableReader<TKey, TValue>
{
    public override bool TryGet(ReadOnlySpan<byte> keyBytes, TKey key, [MaybeNullWhen(false)] out TValue value) => store.TryGet(keyBytes, out value);
}

internal sealed class FilteredTableReader<TKey, TValue>(TableReader<TKey, TValue> table, Func<TKey, TValue, bool> predicate) : TableReader<TKey, TValue>
{
    public override bool TryGet(ReadOnlySpan<byte> keyBytes, TKey key, [MaybeNullWhen(false)] out TValue value)
    {
        if (table.TryGet(keyBytes, key, out value) && predicate(key, value))
        {
            return true;
        }

        value = default;
        return false;
    }
}

internal sealed class MappedTableReader<TKey, TValue, TNewValue>(TableReader<TKey, TValue> table, Func<TKey, TValue, TNewValue> mapper) : TableReader<TKey, TNewValue>
{
    public override bool TryGet(ReadOnlySpan<byte> keyBytes, TKey key, [MaybeNullWhen(false)] out TNewValue value)
    {
        if (!table.TryGet(keyBytes, key, out var found))
        {
            value = default;
            return false;
        }

        value = mapper(key, found);
        return value is not null;
    }
}
