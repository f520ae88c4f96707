using System.Collections.Concurrent;
using System.Diagnostics;
using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Records;
using OrleansStreams.Tests.Cluster;

namespace OrleansStreams.Cluster.Tests.Load;

/// <summary>What the members of a group have read and committed, together.</summary>
internal sealed class GroupWitness(int partitions, Changes changes)
{
    private readonly long[] _committed = new long[partitions];
    private readonly long[] _readTo = new long[partitions];
    private readonly ConcurrentQueue<string> _wrong = new();

    public ConcurrentDictionary<(int Partition, long Offset), string> Records { get; } = new();

    /// <summary>What a reader must not meet, a line each.</summary>
    public IReadOnlyCollection<string> Wrong => _wrong;

    /// <summary>The highest offset whose commit was acknowledged.</summary>
    public long Committed(int partition) => Interlocked.Read(ref _committed[partition]);

    /// <summary>Behind the last record that was read.</summary>
    public long ReadTo(int partition) => Interlocked.Read(ref _readTo[partition]);

    public void Read(int partition, long offset, string value)
    {
        if (Records.GetOrAdd((partition, offset), value) is var before && before != value)
        {
            _wrong.Enqueue($"{partition}:{offset} was {before} and is {value}");
        }

        Raise(ref _readTo[partition], offset + 1);
        changes.Tell();
    }

    public void HasCommitted(int partition, long offset) => Raise(ref _committed[partition], offset);

    public void IsWrong(string what) => _wrong.Enqueue(what);

    private static void Raise(ref long highest, long value)
    {
        for (var before = Interlocked.Read(ref highest); before < value;)
        {
            var now = Interlocked.CompareExchange(ref highest, value, before);
            if (now == before)
            {
                return;
            }

            before = now;
        }
    }
}

/// <summary>A member of a group that reads, commits now and then, and tells the witness.</summary>
internal sealed class GroupReader(StreamsClient client, string topic, string group, GroupWitness witness)
{
    private static readonly TimeSpan CommitInterval = TimeSpan.FromMilliseconds(200);

    public async Task RunAsync(CancellationToken stop)
    {
        var options = new ConsumerOptions { GroupId = group, AutoOffsetReset = AutoOffsetReset.Earliest, EnableAutoCommit = false };
        await using var consumer = client.CreateConsumer(Serdes.Utf8, Serdes.Utf8, options);
        consumer.Subscribe(topic);
        var committed = Stopwatch.GetTimestamp();
        try
        {
            await foreach (var record in consumer.ConsumeAsync(stop))
            {
                witness.Read(record.Partition.Partition, record.Offset, record.Value!);
                if (Stopwatch.GetElapsedTime(committed) >= CommitInterval)
                {
                    await CommitAsync(consumer, stop);
                    committed = Stopwatch.GetTimestamp();
                }
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The end.
        }
    }

    private async Task CommitAsync(Consumer<string, string> consumer, CancellationToken stop)
    {
        List<(TopicPartition Partition, long Position)> positions = [.. consumer.Assignment.Select(partition => (partition, consumer.PositionOf(partition)))];
        try
        {
            await consumer.CommitAsync(stop);
            positions.ForEach(owned => witness.HasCommitted(owned.Partition.Partition, owned.Position));
        }
        catch (StreamsException error) when (error.Code is StreamsErrorCode.FencedMemberEpoch or StreamsErrorCode.UnknownMemberId or StreamsErrorCode.IllegalGeneration)
        {
            // The partitions belong to other members by now; nothing was committed.
        }
    }
}

/// <summary>Looks at a group's committed offsets again and again: none is ever less than what was acknowledged or seen before.</summary>
internal sealed class OffsetWatcher(StreamsClient client, string group, int partitions, GroupWitness witness)
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private readonly long[] _seen = new long[partitions];

    /// <summary>How often it has looked.</summary>
    public int Looks { get; private set; }

    public async Task RunAsync(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            await LookAsync(CancellationToken.None);
            await Task.Delay(Pause, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    public async Task LookAsync(CancellationToken cancellation)
    {
        // Before the question: what is acknowledged while it is under way may be in the answer or not.
        var acknowledged = Enumerable.Range(0, partitions).Select(witness.Committed).ToArray();
        var described = await DescribeAsync(cancellation);
        for (var partition = 0; partition < partitions; partition++)
        {
            var now = described.GetValueOrDefault(partition);
            if (now < acknowledged[partition])
            {
                witness.IsWrong($"partition {partition}: offset {acknowledged[partition]} was committed, then the group said {now}");
            }

            if (now < _seen[partition])
            {
                witness.IsWrong($"partition {partition}: the group said {_seen[partition]}, then {now}");
            }

            _seen[partition] = now;
        }

        Looks++;
    }

    private async Task<Dictionary<int, long>> DescribeAsync(CancellationToken cancellation)
    {
        try
        {
            var description = await client.Admin.DescribeGroupAsync(group, cancellation);
            return description.Offsets.ToDictionary(offset => offset.Partition.Partition, offset => offset.Offset);
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.GroupIdNotFound)
        {
            return [];
        }
    }
}
