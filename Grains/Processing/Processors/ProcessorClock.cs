using OrleansStreams.Processing.Operators;

namespace OrleansStreams.Processing.Processors;

/// <summary>The event time of what a task's processors do just now.</summary>
internal sealed class ProcessorClock(TaskContext context)
{
    /// <summary>Set while a record is processed.</summary>
    public long? RecordMs { get; set; }

    /// <summary>The time of the record that is being processed; in punctuators the task's watermark.</summary>
    public long NowMs => RecordMs ?? context.Watermark;
}
