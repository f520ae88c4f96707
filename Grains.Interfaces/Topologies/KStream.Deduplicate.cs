using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>Leaving out records that came before.</summary>
public sealed partial class KStream<TKey, TValue>
{
    /// <summary>
    /// Passes the first record of a key and leaves out those of the same key that are less than the window away from it in event time, before or after it; the next one that is further away
    /// passes again. First is who comes first, whatever the event times: a record never waits for an earlier one. What passes depends on the records and their order alone, not on how often the
    /// task crashed; only of topics that are merged before, chance decides which is read first.
    /// <para>
    /// A record that comes when the watermark has passed its time and the grace is late: it is counted and left out, because what it might repeat is forgotten. A record's time is kept until the
    /// watermark has passed it by the window and the grace.
    /// </para>
    /// </summary>
    /// <param name="window">The window and its grace.</param>
    /// <param name="name">A name for the step and, with <c>-seen</c> behind it, for its store; null for one that is numbered by its place in the description.</param>
    /// <exception cref="StreamsException">InvalidConfig when the key may have changed since the topic was read: give <see cref="Grouped{TKey, TValue}"/>, so that equal keys come to one task.</exception>
    public KStream<TKey, TValue> Deduplicate(DeduplicationWindow window, string? name = null)
    {
        var serde = KeySerdeOf("deduplicated by key", ".Deduplicate(window, Grouped.With(keySerde, valueSerde))");
        return Deduplicate((key, _) => key, serde, window, name, isByKey: true);
    }

    /// <summary>As the other <c>Deduplicate</c>, and repartitions the records before when their key may have changed since their topic was read.</summary>
    /// <inheritdoc cref="Deduplicate(DeduplicationWindow, string?)"/>
    /// <param name="window">The window and its grace.</param>
    /// <param name="grouped">How they are repartitioned.</param>
    /// <param name="name">A name for the step, or null.</param>
    public KStream<TKey, TValue> Deduplicate(DeduplicationWindow window, Grouped<TKey, TValue> grouped, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(grouped);
        return PartitionedByKey(grouped).Deduplicate(window, name);
    }

    /// <summary>
    /// As by key, but by an id that is chosen of each record. A record whose id is null always passes. Ids are compared within a partition: where equal ids can have different keys, make the id the
    /// key before, <c>.SelectKey(id).Deduplicate(window, Grouped.With(...))</c>.
    /// </summary>
    /// <inheritdoc cref="Deduplicate(DeduplicationWindow, string?)"/>
    /// <param name="idSelector">Gives a record's id; the same for the same record.</param>
    /// <param name="idSerde">Writes ids: those are the same whose bytes are.</param>
    /// <param name="window">The window and its grace.</param>
    /// <param name="name">A name for the step, or null.</param>
    public KStream<TKey, TValue> Deduplicate<TId>(Func<TKey, TValue, TId> idSelector, ISerde<TId> idSerde, DeduplicationWindow window, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(idSelector);
        ArgumentNullException.ThrowIfNull(idSerde);
        return Deduplicate(idSelector, idSerde, window, name, isByKey: false);
    }

    private KStream<TKey, TValue> Deduplicate<TId>(Func<TKey, TValue, TId> idSelector, ISerde<TId> idSerde, DeduplicationWindow window, string? name, bool isByKey)
    {
        ArgumentNullException.ThrowIfNull(window);
        if (name is not null)
        {
            TopologyNames.Check(name, "step");
        }

        var node = new DeduplicateNode<TKey, TValue, TId>(_builder.NextId, name ?? _builder.NameOf("deduplicate"), _node, idSelector, idSerde, window, isByKey);
        return new(_builder, _builder.Add(node), _keySerde);
    }
}
