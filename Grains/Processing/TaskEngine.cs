using System.Globalization;
using OrleansStreams.Log;
using OrleansStreams.Processing.Journal;
using OrleansStreams.Processing.Operators;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Processing.Watermarks;
using OrleansStreams.Processing.Windows;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>
/// One task's state and operators: pure and deterministic, without any input or output of its own. It takes batches or lines, and gives journal entries.
/// Everything that it knows can be made again by applying its entries in order; the owner throws it away after any failure.
/// </summary>
internal sealed class TaskEngine
{
    private readonly string _taskId;
    private readonly SubTopology _topology;
    private readonly Dictionary<string, TopicOutput> _outputs;
    private readonly IReadOnlyList<IStateStore> _stores;
    private readonly IReadOnlyList<IWatermarkListener> _listeners;
    private readonly ITopicInput? _topicInput;
    private readonly WatermarkTracker _watermarks;
    private readonly long _outOfOrdernessMs;
    private long _producerId;
    private bool _changed;

    /// <summary>Creates the task's engine, empty.</summary>
    /// <param name="topology">Its sub-topology.</param>
    /// <param name="partition">Its number: the partition of the input topic, 0 for a file source.</param>
    /// <param name="outputTopics">The topics that it writes to.</param>
    public TaskEngine(SubTopology topology, int partition, IEnumerable<TopicDescription> outputTopics)
    {
        _topology = topology;
        _taskId = string.Create(CultureInfo.InvariantCulture, $"{topology.Number}_{partition}");
        _outputs = outputTopics.ToDictionary(topic => topic.Name, topic => new TopicOutput(topic), StringComparer.Ordinal);
        var factory = new ProcessorFactory(_outputs, Counters);
        var source = topology.Source.Accept(factory);
        (_topicInput, FileInput) = (source as ITopicInput, source as IFileInput);
        (_stores, _listeners) = (factory.Stores, factory.Listeners);
        _watermarks = new WatermarkTracker(1);
        Input = topology.InputTopic is { } topic ? new TopicPartition(topic, partition) : null;
        _outOfOrdernessMs = (long)(_topicInput?.Watermarks.OutOfOrderness.TotalMilliseconds ?? 0);
    }

    /// <summary>The partition that it reads, or null for a file source.</summary>
    public TopicPartition? Input { get; }

    /// <summary>The file source, or null.</summary>
    public IFileInput? FileInput { get; }

    /// <summary>The next offset to read.</summary>
    public long Position { get; private set; }

    /// <summary>For a file source: how far it has read, and which file.</summary>
    public FilePosition FilePosition { get; private set; } = FilePosition.Beginning;

    public TaskCounters Counters { get; } = new();

    public long Watermark => _watermarks.Watermark;

    public long StateEntries => _stores.Sum(store => store.Entries);

    /// <summary>Whether the input has ended and everything was handled.</summary>
    public bool HasEnded => _watermarks.HasEnded(0);

    /// <summary>Whether there is anything to commit.</summary>
    public bool HasChanges => _changed;

    /// <summary>Bytes that wait to be written.</summary>
    public long PendingBytes => _outputs.Values.Sum(output => output.Bytes);

    /// <summary>Handles one record batch, from <see cref="Position"/> on.</summary>
    /// <exception cref="StreamsException">CorruptBatch; SerializationFailed or InvalidInput when a serde or user code throws, naming partition and offset. The engine is of no use afterwards.</exception>
    public void ProcessBatch(ReadOnlyMemory<byte> batch)
    {
        var error = RecordBatch.Validate(batch.Span, out var header);
        if (error != StreamsErrorCode.None)
        {
            throw new StreamsException(error, $"a batch of {Input} at offset {Position} fails its checks");
        }

        if (header.IsControl)
        {
            ProcessControl(batch);
        }
        else
        {
            ProcessRecords(batch);
        }

        Position = header.NextOffset;
        _changed = true;
    }

    /// <summary>Handles one line of the file source and moves behind it.</summary>
    /// <exception cref="StreamsException">InvalidInput, naming file and line.</exception>
    public void ProcessLine(ReadOnlySpan<byte> line, long bytesWithBreak)
    {
        var number = FilePosition.Row + 1;
        try
        {
            FileInput!.Process(line, number);
        }
        catch (Exception error)
        {
            throw new StreamsException(StreamsErrorCode.InvalidInput, string.Create(CultureInfo.InvariantCulture, $"{FileInput!.Path}, line {number}: {error.Message}"), inner: error);
        }

        FilePosition = FilePosition with { Bytes = FilePosition.Bytes + bytesWithBreak, Row = number };
        Counters.RecordsIn++;
        _changed = true;
    }

    /// <summary>Fixes which file it is; before the first line.</summary>
    public void IdentifyFile(FilePosition position)
    {
        FilePosition = position;
        _changed = true;
    }

    /// <summary>The file has ended: so has the input of every topic that it writes to.</summary>
    public void EndFile()
    {
        foreach (var output in _outputs.Values)
        {
            output.AppendEndOfInput(_taskId);
        }

        _watermarks.End(0);
        _changed = true;
    }

    /// <summary>Takes out everything since the last commit as one journal entry and its outbox.</summary>
    public TaskCommit Drain(bool full)
    {
        Counters.RecordsOut += _outputs.Values.Sum(output => output.Records);
        Counters.Commits++;
        var outbox = new List<OutboxBatch>();
        foreach (var output in _outputs.Values)
        {
            output.Drain(_producerId, outbox);
        }

        var writer = new EntryWriter();
        JournalEntry.WriteHead(writer, full, _topology.Fingerprint, _producerId);
        writer.Long(Position);
        writer.Long(_watermarks.Of(0));
        FilePosition.Write(writer);
        Counters.Write(writer);
        foreach (var store in _stores)
        {
            // A full entry holds the changes too: they are taken out first, so that the next entry begins behind them.
            if (full)
            {
                store.WriteChanges(new EntryWriter());
                store.WriteAll(writer);
            }
            else
            {
                store.WriteChanges(writer);
            }
        }

        JournalEntry.WriteSequences(writer, full ? _outputs.Values : []);
        JournalEntry.WriteOutbox(writer, outbox);
        _changed = false;
        return new TaskCommit(writer.Written.ToArray(), outbox);
    }

    /// <summary>Begins a new journal.</summary>
    public void Begin(long producerId, long position)
    {
        _producerId = producerId;
        Position = position;
        _changed = true;
    }

    /// <summary>Applies a journal entry, as it was when it was drained; answers its outbox.</summary>
    /// <exception cref="StreamsException">IncompatibleState when another topology wrote it; CorruptLog.</exception>
    public List<OutboxBatch> Apply(ReadOnlyMemory<byte> entry)
    {
        var reader = new EntryReader(entry.Span);
        var full = JournalEntry.ReadHead(ref reader, _taskId, _topology.Fingerprint, ref _producerId);
        Position = reader.Long();
        _watermarks.Restore(0, reader.Long());
        FilePosition = FilePosition.Read(ref reader);
        Counters.Read(ref reader);
        foreach (var store in _stores)
        {
            if (full)
            {
                store.Clear();
            }

            store.Apply(ref reader);
        }

        JournalEntry.ReadSequences(ref reader, _outputs);
        return JournalEntry.ReadOutbox(ref reader, entry, _outputs);
    }

    /// <summary>The entries of a key.</summary>
    /// <exception cref="StreamsException">StoreNotFound.</exception>
    public List<StateEntry> Query(StateQuery query)
    {
        var store = _stores.FirstOrDefault(store => store.Name == query.Store)
            ?? throw new StreamsException(StreamsErrorCode.StoreNotFound, $"there is no store '{query.Store}'; this task has {string.Join(", ", _stores.Select(store => store.Name))}");
        return store.Query(query.Key.Span, query.FromMs, query.ToMs, query.Limit);
    }

    private void ProcessRecords(ReadOnlyMemory<byte> batch)
    {
        var reader = new RecordBatchReader(batch);
        var offset = Position;
        try
        {
            while (reader.TryRead(out var record))
            {
                if (record.Offset < Position)
                {
                    continue;
                }

                offset = record.Offset;
                var eventTime = _topicInput!.Process(record, _watermarks.Of(0));
                Counters.RecordsIn++;

                // After the record, not after the batch: see WindowProcessor.
                if (_watermarks.Observe(0, eventTime, _outOfOrdernessMs))
                {
                    Advance();
                }
            }
        }
        catch (Exception error)
        {
            var code = (error as StreamsException)?.Code ?? StreamsErrorCode.InvalidInput;
            throw new StreamsException(code, $"{Input} at offset {offset}: {error.Message}", inner: error);
        }
    }

    private void ProcessControl(ReadOnlyMemory<byte> batch)
    {
        if (WatermarkMarker.TryRead(batch, out _, out var watermark) && watermark == WatermarkMarker.EndOfInput && _watermarks.End(0))
        {
            Advance();
        }
    }

    private void Advance()
    {
        foreach (var listener in _listeners)
        {
            listener.Advance(_watermarks.Watermark);
        }
    }
}

/// <summary>What a commit writes.</summary>
/// <param name="Entry">The journal entry.</param>
/// <param name="Outbox">What is delivered once it is durable.</param>
internal sealed record TaskCommit(byte[] Entry, IReadOnlyList<OutboxBatch> Outbox);
