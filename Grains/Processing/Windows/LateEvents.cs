using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using OrleansStreams.Processing.Operators;
using OrleansStreams.Records;

namespace OrleansStreams.Processing.Windows;

/// <summary>Counts events that came too late for a step's windows, and writes them to a topic if that was asked for.</summary>
/// <param name="context">The task's.</param>
/// <param name="clock">The step's.</param>
/// <param name="topic">The late topic's index in the outbox, or -1.</param>
internal sealed class LateEvents(TaskContext context, StepClock clock, int topic)
{
    [MethodImpl(MethodImplOptions.NoInlining)]
    public void Add(in RecordView raw, long windowStart, long windowEnd)
    {
        context.LateRecords++;
        if (topic < 0)
        {
            return;
        }

        RecordHeader[] headers =
        [
            .. raw.GetHeaders(),
            HeaderOf("late-window-start", windowStart),
            HeaderOf("late-window-end", windowEnd),
            HeaderOf("late-watermark", clock.RecordWatermark),
        ];
        context.Outbox.Append(topic, raw.Timestamp, raw.Key, raw.KeyIsNull, raw.Value, raw.ValueIsNull, headers);
    }

    private static RecordHeader HeaderOf(string name, long value) => new(name, Encoding.ASCII.GetBytes(value.ToString(CultureInfo.InvariantCulture)));
}
