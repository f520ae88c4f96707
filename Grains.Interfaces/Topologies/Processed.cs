namespace OrleansStreams.Topologies;

/// <summary>How a processor stands in the topology: its stores, its name, what it does with keys.</summary>
public sealed record Processed
{
    private Processed(IReadOnlyList<StoreDefinition> stores) => Stores = stores;

    internal IReadOnlyList<StoreDefinition> Stores { get; }

    internal string? Name { get; private init; }

    internal bool IsKeyKept { get; private init; }

    internal long DelayMs { get; private init; }

    /// <summary>A processor with these stores, or with none.</summary>
    /// <exception cref="StreamsException">InvalidConfig when two of them have one name.</exception>
    public static Processed With(params ReadOnlySpan<StoreDefinition> stores)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var store in stores)
        {
            ArgumentNullException.ThrowIfNull(store);
            if (!names.Add(store.Name))
            {
                throw Topology.Invalid($"A processor declares two stores named '{store.Name}': give each its own name.");
            }
        }

        return new Processed(stores.ToArray());
    }

    /// <summary>Names the processor, and with it the store of its punctuators. Without a name it is numbered by its place in the description, which a change of the description may move.</summary>
    /// <exception cref="StreamsException">InvalidConfig for a name that cannot be used.</exception>
    public Processed WithName(string name)
    {
        TopologyNames.Check(name, "processor");
        return this with { Name = name };
    }

    /// <summary>
    /// Promises that records are forwarded under the key of the record that they come from, and in punctuators under keys that the task has got: what follows can then be grouped by key without being
    /// repartitioned. Another key than that of the record that is being processed is an error of the record.
    /// </summary>
    public Processed KeepsKey() => this with { IsKeyKept = true };

    /// <summary>
    /// Says how far behind the watermark the event times lie of what punctuators forward: windows and joins that follow hold themselves back by as much, so that it is not late there. 0 unless
    /// set: records from the watermark on are never late.
    /// </summary>
    /// <exception cref="StreamsException">InvalidConfig when it is negative or above 1000 years.</exception>
    public Processed WithOutputDelay(TimeSpan delay) => this with { DelayMs = EventTimes.Milliseconds(delay, 0, "The delay of a processor's output") };
}
