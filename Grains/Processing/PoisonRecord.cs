using System.Globalization;
using System.Text;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>A record that is taken out instead of processed.</summary>
/// <param name="Input">The input that it was read from; 0 for a file.</param>
/// <param name="Offset">Its offset, or the number of its line.</param>
/// <param name="Reason">What it is and why it is taken out.</param>
/// <param name="Letter">What is written to the dead-letter topic, or null.</param>
internal sealed record PoisonRecord(int Input, long Offset, string Reason, DeadLetter? Letter)
{
    /// <summary>
    /// Whether an exception may be a record's fault. What passes by itself, damaged data, and a process out of memory are not: they would take out one good record after the other.
    /// </summary>
    public static bool CanCause(Exception error) => error is not OutOfMemoryException &&
        error is not StreamsException { IsRetriable: true } &&
        error is not StreamsException { Code: StreamsErrorCode.CorruptBatch or StreamsErrorCode.CorruptLog or StreamsErrorCode.UnsupportedCompressionType or StreamsErrorCode.IncompatibleState
            or StreamsErrorCode.StateTooLarge };
}

/// <summary>A record as it goes to a dead-letter topic, in memory of its own.</summary>
internal sealed record DeadLetter(string Topic, long Timestamp, byte[]? Key, byte[]? Value, RecordHeader[] Headers)
{
    private const int MessageCharsMax = 4096;
    private const int StackCharsMax = 16_384;

    /// <summary>A letter with the record's own headers and those of the error.</summary>
    public static DeadLetter Of(string topic, long timestamp, byte[]? key, byte[]? value, RecordHeader[] headers, TaskPlan plan, string source, long offset, Exception error)
    {
        RecordHeader[] added =
        [
            Header(DeadLetterHeaders.Topic, source),
            Header(DeadLetterHeaders.Partition, plan.Partition.ToString(CultureInfo.InvariantCulture)),
            Header(DeadLetterHeaders.Offset, offset.ToString(CultureInfo.InvariantCulture)),
            Header(DeadLetterHeaders.Timestamp, timestamp.ToString(CultureInfo.InvariantCulture)),
            Header(DeadLetterHeaders.Exception, error.GetType().FullName ?? error.GetType().Name),
            Header(DeadLetterHeaders.Message, Cut(error.Message, MessageCharsMax)),
            Header(DeadLetterHeaders.Stack, Cut(error.ToString(), StackCharsMax)),
            Header(DeadLetterHeaders.Application, plan.Application),
            Header(DeadLetterHeaders.Task, plan.TaskId),
        ];

        // A batch's memory lives no longer than its processing.
        var own = headers.Select(header => header with { Value = header.Value is { } bytes ? bytes.ToArray() : default(ReadOnlyMemory<byte>?) });
        return new DeadLetter(topic, timestamp, key, value, [.. own, .. added]);
    }

    /// <summary>The same letter without a header of the error's.</summary>
    public DeadLetter Without(string header)
    {
        var at = Array.FindLastIndex(Headers, candidate => candidate.Key == header);
        return this with { Headers = [.. Headers.Where((_, index) => index != at)] };
    }

    private static RecordHeader Header(string name, string value) => new(name, Encoding.UTF8.GetBytes(value));

    private static string Cut(string text, int chars) => text.Length <= chars ? text : text[..chars];
}

/// <summary>
/// A record has failed and may have changed the engine before (<see cref="Operators.TaskContext.IsTouched"/>): it is in no defined state any more. A new engine is to be made from the journal and told to take the record out
/// (<see cref="TaskEngine.TakeOut"/>). That way nothing of the record is left whatever it had changed: also in aggregates that the application's code changes in place, which no log of
/// old values could bring back; and a record that does not fail costs nothing.
/// </summary>
internal sealed class PoisonRecordException(PoisonRecord record, Exception inner) : Exception(record.Reason, inner)
{
    public PoisonRecord Record { get; } = record;
}
