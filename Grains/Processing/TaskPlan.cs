using System.Globalization;
using OrleansStreams.Log;
using OrleansStreams.Processing.Watermarks;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>What a task engine is made of.</summary>
internal sealed record TaskPlan
{
    public required string Application { get; init; }

    public required SubTopology SubTopology { get; init; }

    public required int Partition { get; init; }

    /// <summary>The topics of <see cref="SubTopology.OutputTopics"/>, in that order, and then those of <see cref="SubTopology.DeadLetterTopics"/>.</summary>
    public required IReadOnlyList<OutputTopic> Outputs { get; init; }

    /// <summary>Per input, the tasks of this application that write its topic. All of them have to say that it has ended; without any it never ends, because of
    /// what others write to it nobody knows when it is all.</summary>
    public required IReadOnlyList<IReadOnlyCollection<string>> Writers { get; init; }

    /// <summary>Per input, the topic that is read; empty when topics are called as the topology calls them.</summary>
    public IReadOnlyList<string> InputTopics { get; init; } = [];

    /// <summary>Per input, whether its watermark comes from the markers of <see cref="Writers"/>; empty when none does.</summary>
    public IReadOnlyList<bool> ByMarkers { get; init; } = [];

    /// <summary>Per input that copies a global table, the tasks that write the copy with the partition of the table's topic that each reads.</summary>
    public IReadOnlyDictionary<int, IReadOnlyList<TableWriterTask>> TableWriters { get; init; } = new Dictionary<int, IReadOnlyList<TableWriterTask>>();

    /// <summary>What results are worth after a crash.</summary>
    public ProcessingGuarantee Guarantee { get; init; }

    /// <summary>The topics that follow from what this sub-topology writes, as the topology calls them: none of its own inputs waits for those among its inputs.</summary>
    public IReadOnlySet<string> FedTopics { get; init; } = new HashSet<string>();

    /// <summary>Per input, where a new task begins to read, or -1 for the earliest record; empty when all do that.</summary>
    public IReadOnlyList<long> StartOffsets { get; init; } = [];

    /// <summary>Per input, the first offset that does not belong to it any more; empty when none has an end.</summary>
    public IReadOnlyList<long> EndOffsets { get; init; } = [];

    /// <summary>Journal bytes after which a snapshot is begun, at least.</summary>
    public long SnapshotBytesMin { get; init; } = 8L * 1024 * 1024;

    /// <summary>The partition that an input reads.</summary>
    public TopicPartition PartitionOf(int input) => new(InputTopics.Count == 0 ? SubTopology.Sources[input].Topic : InputTopics[input], Partition);

    /// <summary>The first offset that does not belong to an input any more; long.MaxValue without an end.</summary>
    public long EndOffsetOf(int input) => input < EndOffsets.Count ? EndOffsets[input] : long.MaxValue;

    /// <summary>Whether an input is a table that others write: it is read from its first record wherever the streams begin, else rows would be missing that were written before.</summary>
    public bool IsWholeTable(int input) => SubTopology.IsTable(input) && Writers[input].Count == 0;

    public string TaskId => string.Create(CultureInfo.InvariantCulture, $"{SubTopology.Id}_{Partition}");

    /// <summary>How the task calls itself towards others.</summary>
    public string Name => NameOf(Application, TaskId);

    public static string NameOf(string application, string taskId) => $"{application}/{taskId}";
}
