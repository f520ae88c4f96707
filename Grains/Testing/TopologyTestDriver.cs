using System.Collections.Immutable;
using OrleansStreams.Log;
using OrleansStreams.Processing;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Testing;

/// <summary>
/// Drives a topology synchronously, with records and time that the test gives: no silo, no storage, no threads, no clock. All sub-topologies and partitions run, by the same
/// engine as in a silo, over topics in memory; records are processed in the order in which they were piped in, and the same calls always give the same results.
/// </summary>
/// <example>
/// <code>
/// var builder = new StreamsBuilder();
/// builder.Stream("words", Consumed.With(Serdes.Utf8, Serdes.Utf8)).GroupByKey().Count(Materialized.As("counts", Serdes.Int64))
///     .ToStream().To("word-counts", Produced.With(Serdes.Utf8, Serdes.Int64));
/// var driver = new TopologyTestDriver(builder.Build());
/// var words = driver.CreateInput("words", Serdes.Utf8, Serdes.Utf8);
/// var counts = driver.CreateOutput("word-counts", Serdes.Utf8, Serdes.Int64);
/// words.Pipe("hello", "x", timestamp: 1);
/// words.Pipe("hello", "y", timestamp: 2);
/// counts.ReadAll();                  // ("hello", 1), ("hello", 2)
/// </code>
/// </example>
public sealed class TopologyTestDriver
{
    private readonly TopologyTestDriverOptions _options;
    private readonly TestTopics _topics;
    private readonly ImmutableArray<TestTask> _tasks;
    private readonly ImmutableArray<string> _inputs;
    private int _sinceCommit;

    /// <summary>Starts the topology's tasks.</summary>
    /// <param name="topology">The topology.</param>
    /// <param name="options">Partitions, clock, commits; null for the defaults.</param>
    /// <exception cref="StreamsException">InvalidPartitions, InvalidConfig: as when an application is started.</exception>
    public TopologyTestDriver(Topology topology, TopologyTestDriverOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(topology);
        _options = options ?? new TopologyTestDriverOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(_options.CommitEvery, 1, nameof(options));
        _topics = new TestTopics(_options);
        Now = _options.StartTime;

        var made = topology.SubTopologies.SelectMany(sub => sub.Sources).Where(source => source.Internal is not null).Select(source => source.Topic).ToHashSet(StringComparer.Ordinal);
        _inputs = [.. topology.SubTopologies.SelectMany(sub => sub.InputTopics).Distinct(StringComparer.Ordinal).Where(topic => !made.Contains(topic))];
        foreach (var topic in topology.SubTopologies.SelectMany(sub => sub.OutputTopics.Concat(sub.DeadLetterTopics)).Concat(_inputs).Distinct(StringComparer.Ordinal).Where(topic => !made.Contains(topic)))
        {
            _topics.Create(topic);
        }

        // Topics in memory answer at once, so that the plan is there when the call returns.
        var plan = ApplicationPlan.ResolveAsync(_options.Application, topology, _topics, create: true).GetAwaiter().GetResult();
        var processing = new ProcessingOptions { SnapshotBytesMin = _options.SnapshotBytesMin };
        _tasks = [.. plan.Tasks.Select(id => new TestTask(plan.TaskOf(id, processing), _topics))];
        Advance(isCommitDue: true);
    }

    /// <summary>The wall clock.</summary>
    public DateTimeOffset Now { get; private set; }

    /// <summary>The tasks as they are, committed or not.</summary>
    public ImmutableArray<TestTaskStatus> Tasks => [.. _tasks.Select(task => task.Status)];

    /// <summary>Late events that all tasks have counted.</summary>
    public long LateRecords => _tasks.Sum(task => task.Status.LateRecords);

    private long NowMs => Now.ToUnixTimeMilliseconds();

    /// <summary>Writes records to a topic.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition when the topology neither reads nor writes the topic.</exception>
    public TestInput<TKey, TValue> CreateInput<TKey, TValue>(string topic, ISerializer<TKey> keySerializer, ISerializer<TValue> valueSerializer)
    {
        ArgumentNullException.ThrowIfNull(keySerializer);
        ArgumentNullException.ThrowIfNull(valueSerializer);
        return new TestInput<TKey, TValue>(_topics.Get(topic), keySerializer, valueSerializer, Piped);
    }

    /// <summary>Writes lines to a file source.</summary>
    /// <param name="name">The source's name.</param>
    /// <exception cref="StreamsException">InvalidRequest when the topology has no such file source.</exception>
    public TestFileInput CreateFileInput(string name)
    {
        var task = _tasks.FirstOrDefault(task => task.FileName == name)
            ?? throw new StreamsException(StreamsErrorCode.InvalidRequest, $"The topology has no file source '{name}': see builder.FileSource in its description.");
        return new TestFileInput(task, Piped);
    }

    /// <summary>Reads the records of a topic, from its beginning.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition when the topology neither reads nor writes the topic.</exception>
    public TestOutput<TKey, TValue> CreateOutput<TKey, TValue>(string topic, IDeserializer<TKey> keyDeserializer, IDeserializer<TValue> valueDeserializer)
    {
        ArgumentNullException.ThrowIfNull(keyDeserializer);
        ArgumentNullException.ThrowIfNull(valueDeserializer);
        return new TestOutput<TKey, TValue>(_topics.Get(topic), keyDeserializer, valueDeserializer);
    }

    /// <summary>Reads a state store, over all tasks that keep a part of it, as it is, committed or not.</summary>
    /// <exception cref="StreamsException">StoreNotFound.</exception>
    public TestStore<TKey, TValue> GetStore<TKey, TValue>(string name, ISerde<TKey> keySerde, ISerde<TValue> valueSerde)
    {
        ArgumentNullException.ThrowIfNull(keySerde);
        ArgumentNullException.ThrowIfNull(valueSerde);
        TestTask[] tasks = [.. _tasks.Where(task => task.HasStore(name))];
        return tasks.Length == 0
            ? throw new StreamsException(StreamsErrorCode.StoreNotFound, $"The topology has no store '{name}': see topology.Describe().")
            : new TestStore<TKey, TValue>(name, tasks, keySerde, valueSerde);
    }

    /// <summary>Lets the wall clock go on, and with it what waits for it: silent inputs, wall-clock punctuators.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The time is negative.</exception>
    public void AdvanceWallClock(TimeSpan time)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(time, TimeSpan.Zero);
        Now += time;
        Advance(_options.CommitEvery == 1);
    }

    /// <summary>Ends every topic that the topology reads, and what it reads of files: windows close, tasks complete.</summary>
    public void CloseInputs()
    {
        foreach (var task in _tasks)
        {
            task.EndFile();
        }

        foreach (var topic in _inputs)
        {
            _topics.Get(topic).AppendEnd(NowMs);
        }

        Advance(isCommitDue: true);
    }

    /// <summary>Lets all tasks commit and deliver what they have done, and process what follows from it.</summary>
    public void Commit() => Advance(isCommitDue: true);

    /// <summary>Crashes all tasks and restores each from its journal.</summary>
    /// <param name="crash">What of the last commit was done.</param>
    public void Restart(TestCrash crash = TestCrash.BeforeCommit)
    {
        foreach (var task in _tasks)
        {
            task.Crash(crash);
        }

        foreach (var task in _tasks)
        {
            task.Restore();
        }

        Advance(_options.CommitEvery == 1);
    }

    private void Piped()
    {
        _sinceCommit++;
        Advance(_sinceCommit >= _options.CommitEvery);
    }

    /// <summary>Processes whatever can be, until nothing is left.</summary>
    private void Advance(bool isCommitDue)
    {
        do
        {
            while (NextTask() is { } task)
            {
                task.ProcessNext(NowMs);
            }

            foreach (var task in _tasks)
            {
                task.AdvanceTime(NowMs);
            }
        }
        while (isCommitDue && CommitAll());
        _sinceCommit = isCommitDue ? 0 : _sinceCommit;
    }

    /// <summary>The task that waits for the record that was written first.</summary>
    private TestTask? NextTask()
    {
        TestTask? next = null;
        foreach (var task in _tasks)
        {
            next = task.NextSequence < (next?.NextSequence ?? long.MaxValue) ? task : next;
        }

        return next;
    }

    private bool CommitAll()
    {
        var isChanged = false;
        foreach (var task in _tasks)
        {
            isChanged |= task.Commit();
        }

        return isChanged;
    }
}
