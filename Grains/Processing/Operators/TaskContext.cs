using OrleansStreams.Processing.Watermarks;
using OrleansStreams.Records;

namespace OrleansStreams.Processing.Operators;

/// <summary>What the steps of a task share while a record passes.</summary>
internal sealed class TaskContext(TaskPlan plan, WatermarkTracker watermarks, Outbox outbox)
{
    public TaskPlan Plan { get; } = plan;

    public WatermarkTracker Watermarks { get; } = watermarks;

    public Outbox Outbox { get; } = outbox;

    /// <summary>
    /// The task's watermark as steps see it. While timers run it rises from one to the next, in the order in which they are due, so that no result can depend on how far it
    /// jumped at once.
    /// </summary>
    public long Watermark { get; set; } = WatermarkTracker.None;

    /// <summary>What the task's watermark is rising to while timers run.</summary>
    public long WatermarkTarget { get; set; } = WatermarkTracker.None;

    /// <summary>The input whose batch is being processed.</summary>
    public int Input { get; set; }

    /// <summary>Whether the watermark is rising, and what passes is what steps emit as it does.</summary>
    public bool IsRaising { get; set; }

    /// <summary>The watermark of the record's own input just before the record; none for what timers emit.</summary>
    public long InputWatermark { get; set; } = WatermarkTracker.None;

    /// <summary>Whether the value that passes stands for null, as far as it is still the source's (see <see cref="Topologies.TopologyNode.KeepsNull"/>): a value type can't say so itself.</summary>
    public bool ValueIsNull { get; set; }

    /// <summary>Headers for what is written while a step sets them; null means those of the source's record.</summary>
    public RecordHeader[]? Headers { get; set; }

    /// <summary>Whether a record is being processed, and a failure is its own; else the batch is being read, or timers run.</summary>
    public bool IsInRecord { get; set; }

    /// <summary>
    /// Whether the record that is being processed has come to a step that keeps something: a failure may have left half a change behind it. What it has written the outbox counts.
    /// </summary>
    public bool IsTouched { get; set; }

    public long LateRecords { get; set; }

    /// <summary>Records that were skipped as their source is configured to.</summary>
    public long SkippedRecords { get; set; }

    /// <summary>The wall clock, ms since the Unix epoch, as the task was last told; it never goes back. long.MinValue before it was told.</summary>
    public long ClockMs { get; set; } = long.MinValue;

    /// <summary>The ingestion time of the batch that is being processed.</summary>
    public long IngestionMs { get; set; } = long.MinValue;
}

/// <summary>
/// Event time as one step sees it: the task's watermark, less what the steps before it hold back. A window that closes a grace after its end emits a result that is older
/// than the watermark by that grace; a step behind it must not think that such a result is late.
/// </summary>
/// <param name="context">The task's.</param>
/// <param name="delayMs">See <see cref="Topologies.TopologyNode.InputDelayMs"/>.</param>
internal sealed class StepClock(TaskContext context, long delayMs)
{
    /// <summary>The step's watermark: nothing at or before it is expected any more, but late records.</summary>
    public long Watermark => Delayed(context.Watermark);

    /// <summary>
    /// What decides whether the record that passes is late: the watermark of its own input just before it, or the step's if that is further. The first depends on nothing but the
    /// records before it in its partition, which is why results don't depend on how partitions are interleaved. What a step before this one emits as the watermark rises is
    /// of that very watermark, and in time: all up to the ms before it is out.
    /// </summary>
    public long RecordWatermark => Delayed(Math.Max(context.InputWatermark, context.IsRaising ? context.Watermark - 1 : context.Watermark));

    /// <summary>What the step's watermark is rising to while timers run.</summary>
    public long Target => Delayed(context.WatermarkTarget);

    /// <summary>Whether the input has come to its end, and what still happens is that timers run out.</summary>
    public bool IsEnding => context.WatermarkTarget == WatermarkTracker.End;

    /// <summary>The largest event time that the task has seen.</summary>
    public long MaxEventTime => context.Watermarks.MaxEventTime;

    private long Delayed(long watermark) => watermark is WatermarkTracker.None or WatermarkTracker.End ? watermark : watermark - delayMs;
}
