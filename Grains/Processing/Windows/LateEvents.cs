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
    /// <exception cref="StreamsException">InvalidInput for what no record of a source was the cause of, when late events are written as they were read.</exception>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public void Add<TValue>(in RecordView raw, long timestamp, TValue value, long windowStart, long windowEnd)
    {
        if (topic >= 0 && raw.IsPresent)
        {
            Write(raw, windowStart, windowEnd);
        }
        else if (topic >= 0 && value is not null && !context.ValueIsNull)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidInput,
                string.Create(CultureInfo.InvariantCulture, $"An event of time {timestamp} is late for its window, which ends at {windowEnd}, and has no source record that could be written to the late topic. ") +
                "If a punctuator forwards it, say with Processed...WithOutputDelay how far behind event time that may be, and the window waits for it; if it is a line of a file, write the file to a topic with .Through first, or leave out LateTo.");
        }

        // The deletion of a row whose time to live is over is nothing that anybody has written.
        context.LateRecords++;
    }

    private void Write(in RecordView raw, long windowStart, long windowEnd)
    {
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
