namespace OrleansStreams.Topologies;

/// <summary>
/// What becomes of a poison record: one that cannot be deserialized, whose event time is none, on which the application's code fails while it passes through the steps, or whose result its topic would
/// not take (larger than max.message.bytes, or without a key for a compacted topic). A damaged record batch is no poison record. Neither is code that fails when a window closes or a punctuator
/// runs, nor a serde that cannot write a store's value when the task commits (a NaN as JSON, for example): no single record is the cause, and the task fails.
/// </summary>
/// <remarks>
/// A record that is taken out leaves nothing behind: what it had changed or written before it failed is undone. That it was taken out becomes durable with the commit that passes it, so that
/// no crash and no restart can change it. Undoing costs nothing when the record failed before it came to a step that keeps something (a store, a window, a processor) and before it
/// was written to an output; else the task restores its state from its journal, which takes as long as a restart of it. Policies are no part of what stored state depends on: they may be changed from start to start.
/// </remarks>
public sealed record ErrorPolicy
{
    private ErrorPolicy(bool takesOut, string? topic)
    {
        TakesOut = takesOut;
        Topic = topic;
    }

    /// <summary>The task fails, naming topic and offset, and processes nothing after the record until it is started again. What holds unless another policy is chosen.</summary>
    public static ErrorPolicy Fail { get; } = new(false, null);

    /// <summary>The record is skipped and counted (<see cref="Processing.StreamTaskStatus.SkippedRecords"/>, metric <c>streams.task.records.skipped</c>).</summary>
    public static ErrorPolicy Skip { get; } = new(true, null);

    /// <summary>Whether records are taken out rather than the task failed.</summary>
    internal bool TakesOut { get; }

    /// <summary>The dead-letter topic, or null.</summary>
    internal string? Topic { get; }

    /// <summary>
    /// The record is written to a topic, exactly once in an application that processes exactly once: key, value, timestamp and headers as they are, with the headers of
    /// <see cref="DeadLetterHeaders"/> behind them. It counts as skipped, too. What would be larger than the topic's max.message.bytes goes without the stack, then without the message; what the
    /// topic does not take even so is skipped alone, and logged.
    /// </summary>
    /// <param name="topic">The topic, which must exist when the application starts and which the application must not read or write otherwise.</param>
    /// <exception cref="StreamsException">InvalidTopic for a name that cannot be used.</exception>
    public static ErrorPolicy DeadLetter(string topic)
    {
        TopologyNames.Check(topic, "topic");
        return new ErrorPolicy(true, topic);
    }

    /// <inheritdoc/>
    public override string ToString() => Topic is not null ? $"dead letter to {Topic}" : TakesOut ? "skip" : "fail";
}

/// <summary>The names of the headers that a dead letter has besides its own, each a text in UTF-8.</summary>
public static class DeadLetterHeaders
{
    /// <summary>The topic that the record was read from, or the path of its file.</summary>
    public const string Topic = "error.topic";

    /// <summary>The partition that it was read from.</summary>
    public const string Partition = "error.partition";

    /// <summary>Its offset, or the number of its line.</summary>
    public const string Offset = "error.offset";

    /// <summary>Its timestamp, ms since the Unix epoch.</summary>
    public const string Timestamp = "error.timestamp";

    /// <summary>The full name of the exception's type.</summary>
    public const string Exception = "error.exception";

    /// <summary>The exception's message, its first 4,096 characters; left out where the letter would be too large for its topic without the stack, too.</summary>
    public const string Message = "error.message";

    /// <summary>The exception with its stack, its first 16,384 characters; left out where the letter would be too large for its topic.</summary>
    public const string Stack = "error.stack";

    /// <summary>The application.</summary>
    public const string Application = "error.application";

    /// <summary>The task, sub-topology "_" partition.</summary>
    public const string Task = "error.task";
}

/// <summary>What becomes of poison records.</summary>
public sealed partial class StreamsBuilder
{
    private ErrorPolicy _errors = ErrorPolicy.Fail;

    /// <summary>
    /// Says what becomes of poison records of all sources that have no policy of their own (<see cref="Consumed{TKey, TValue}.OnError"/>): also of files, and of what comes behind a
    /// repartitioning, where steps fail in another task than that which read the record first.
    /// </summary>
    /// <param name="policy">The policy; the last call counts.</param>
    /// <returns>This builder.</returns>
    public StreamsBuilder OnError(ErrorPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        _errors = policy;
        return this;
    }
}
