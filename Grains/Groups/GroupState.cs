using OrleansStreams.Log;

namespace OrleansStreams.Groups;

/// <summary>
/// What a group persists: everything that decides who owns what, and the offsets. Plain properties, because any grain storage serializer must manage
/// it; written as a whole, so that members and offsets can never contradict each other.
/// </summary>
[GenerateSerializer]
[Alias("streams.group-state")]
internal sealed class GroupState
{
    /// <summary>The generation.</summary>
    [Id(0)]
    public int Generation { get; set; }

    /// <summary>The last member epoch handed out, over all members.</summary>
    [Id(1)]
    public int LastEpoch { get; set; }

    /// <summary>The assignor in force.</summary>
    [Id(2)]
    public AssignorKind Assignor { get; set; }

    /// <summary>Raised by each activation that finds members: the write fences the activation before it.</summary>
    [Id(3)]
    public long Activations { get; set; }

    /// <summary>The members.</summary>
    [Id(4)]
    public List<StoredMember> Members { get; set; } = [];

    /// <summary>The partition counts that the targets rest on.</summary>
    [Id(5)]
    public List<StoredTopic> Topics { get; set; } = [];

    /// <summary>The committed offsets.</summary>
    [Id(6)]
    public List<StoredOffset> Offsets { get; set; } = [];
}

/// <summary>A member as stored.</summary>
[GenerateSerializer]
[Alias("streams.group-state-member")]
internal sealed class StoredMember
{
    /// <summary>Its id.</summary>
    [Id(0)]
    public string MemberId { get; set; } = "";

    /// <summary>Its name for people.</summary>
    [Id(1)]
    public string ClientId { get; set; } = "";

    /// <summary>Its epoch.</summary>
    [Id(2)]
    public int Epoch { get; set; }

    /// <summary>The epoch before, or -1.</summary>
    [Id(3)]
    public int PreviousEpoch { get; set; }

    /// <summary>Its session timeout.</summary>
    [Id(4)]
    public int SessionTimeoutMs { get; set; }

    /// <summary>Its subscription.</summary>
    [Id(5)]
    public List<string> Topics { get; set; } = [];

    /// <summary>What it may own or may still think it owns.</summary>
    [Id(6)]
    public List<StoredPartition> Held { get; set; } = [];

    /// <summary>What it should own.</summary>
    [Id(7)]
    public List<StoredPartition> Target { get; set; } = [];

    /// <summary>What it reported when its epoch was last raised.</summary>
    [Id(8)]
    public List<StoredPartition> Reported { get; set; } = [];
}

/// <summary>A partition as stored.</summary>
[GenerateSerializer]
[Alias("streams.group-state-partition")]
internal sealed class StoredPartition
{
    /// <summary>Its topic.</summary>
    [Id(0)]
    public string Topic { get; set; } = "";

    /// <summary>Its number.</summary>
    [Id(1)]
    public int Partition { get; set; }

    /// <summary>For a held partition, the member epoch that granted it.</summary>
    [Id(2)]
    public int GrantEpoch { get; set; }

    internal static StoredPartition Of(TopicPartition partition, int grantEpoch = 0) =>
        new() { Topic = partition.Topic, Partition = partition.Partition, GrantEpoch = grantEpoch };

    internal TopicPartition ToPartition() => new(Topic, Partition);
}

/// <summary>A topic's partition count as stored.</summary>
[GenerateSerializer]
[Alias("streams.group-state-topic")]
internal sealed class StoredTopic
{
    /// <summary>Its name.</summary>
    [Id(0)]
    public string Topic { get; set; } = "";

    /// <summary>Its number of partitions; 0 for a topic that was deleted.</summary>
    [Id(1)]
    public int Partitions { get; set; }
}

/// <summary>A committed offset as stored.</summary>
[GenerateSerializer]
[Alias("streams.group-state-offset")]
internal sealed class StoredOffset
{
    /// <summary>Its topic.</summary>
    [Id(0)]
    public string Topic { get; set; } = "";

    /// <summary>Its partition.</summary>
    [Id(1)]
    public int Partition { get; set; }

    /// <summary>The next offset to read.</summary>
    [Id(2)]
    public long Offset { get; set; }

    /// <summary>The member's text.</summary>
    [Id(3)]
    public string? Metadata { get; set; }
}
