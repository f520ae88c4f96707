namespace OrleansStreams.Groups;

/// <summary>The limits and rhythms of consumer groups. Defaults suit production; tests lower them.</summary>
public sealed class GroupOptions
{
    /// <summary>The shortest session timeout a member may ask for (Kafka: group.min.session.timeout.ms).</summary>
    public TimeSpan SessionTimeoutMin { get; set; } = TimeSpan.FromSeconds(6);

    /// <summary>The longest session timeout a member may ask for (Kafka: group.max.session.timeout.ms).</summary>
    public TimeSpan SessionTimeoutMax { get; set; } = TimeSpan.FromMinutes(30);

    /// <summary>The heartbeat interval told to a member that has all it should have; never more than a third of its session timeout.</summary>
    public TimeSpan HeartbeatInterval { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>The heartbeat interval told to a member that waits for partitions or must give some up: a rebalance lasts a few of these.</summary>
    public TimeSpan ReconcileInterval { get; set; } = TimeSpan.FromMilliseconds(200);

    /// <summary>How often the group looks for expired sessions while it has members.</summary>
    public TimeSpan TickInterval { get; set; } = TimeSpan.FromMilliseconds(500);

    /// <summary>How often the group asks its topics for their partition counts while it has members.</summary>
    public TimeSpan TopicRefreshInterval { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// The age of the last successful state write up to which an activation answers heartbeats without writing again. An activation that
    /// was replaced unknowingly stops answering within this time, and its successor expires nobody before it is over.
    /// </summary>
    public TimeSpan ActivationLease { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Members that a group may have.</summary>
    public int MembersMax { get; set; } = 1000;

    /// <summary>Topics that a member may subscribe to.</summary>
    public int TopicsMax { get; set; } = 1000;

    /// <summary>Characters of a committed offset's metadata (Kafka: offset.metadata.max.bytes).</summary>
    public int OffsetMetadataMax { get; set; } = 4096;

    /// <summary>Characters of a member id or a client id.</summary>
    public int NameLengthMax { get; set; } = 256;
}
