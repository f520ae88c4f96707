namespace OrleansStreams.Log;

/// <summary>One partition of a topic.</summary>
/// <param name="Topic">The topic's name.</param>
/// <param name="Partition">The partition's number, from 0.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.topic-partition")]
public readonly record struct TopicPartition([property: Id(0)] string Topic, [property: Id(1)] int Partition) : IComparable<TopicPartition>
{
    /// <summary>The partition grain's key.</summary>
    public string GrainKey => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Topic}/{Partition}");

    /// <summary>Reads a partition grain's key.</summary>
    public static TopicPartition FromGrainKey(string key)
    {
        var slash = key.LastIndexOf('/');
        return new TopicPartition(key[..slash], int.Parse(key.AsSpan(slash + 1), System.Globalization.CultureInfo.InvariantCulture));
    }

    /// <inheritdoc/>
    public int CompareTo(TopicPartition other)
    {
        var byTopic = string.CompareOrdinal(Topic, other.Topic);
        return byTopic != 0 ? byTopic : Partition.CompareTo(other.Partition);
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Topic}-{Partition}");
}
