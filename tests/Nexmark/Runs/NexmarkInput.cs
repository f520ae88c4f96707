using OrleansStreams.Nexmark.Events;
using OrleansStreams.Processing;
using OrleansStreams.Records;

namespace OrleansStreams.Nexmark.Runs;

/// <summary>Events as they stand in a topic, and when they come.</summary>
internal static class NexmarkInput
{
    /// <summary>Events of a batch, unless said otherwise; as many come at one moment of the wall clock.</summary>
    public const int BatchEvents = 1000;

    private const long TickMs = 1000;
    private const long ClockStart = 1_700_000_000_000;

    /// <summary>The wall clock when an event comes: it goes on by a second every thousand events.</summary>
    public static long ArrivalOf(long id) => ClockStart + (id / BatchEvents * TickMs);

    public static Event[] Events(NexmarkSettings settings, int count)
    {
        var generator = new NexmarkGenerator(settings);
        var events = new Event[count];
        for (var id = 0; id < count; id++)
        {
            events[id] = generator.EventOf(id);
        }

        return events;
    }

    /// <summary>The events of one partition as record batches, with their offsets.</summary>
    public static List<byte[]> Batches(IReadOnlyList<Event> events, Func<int>? cut = null)
    {
        var serde = new EventSerde(default);
        var (key, value) = (new ByteBuffer(), new ByteBuffer());
        var builder = new RecordBatchBuilder(initialBytes: 256 * 1024);
        var batches = new List<byte[]>();
        var (first, wanted) = (0, cut?.Invoke() ?? BatchEvents);
        for (var at = 0; at < events.Count; at++)
        {
            key.Clear();
            value.Clear();
            Serdes.Int64.Serialize(events[at].Key, key);
            serde.Serialize(events[at], value);
            builder.Append(events[at].Time, key.Span, false, value.Span, false);
            if (builder.Count == wanted || at == events.Count - 1)
            {
                var batch = builder.Build();
                RecordBatch.StampOffsetAndEpoch(batch, first, 0);
                batches.Add(batch);
                (first, wanted) = (at + 1, cut?.Invoke() ?? BatchEvents);
            }
        }

        return batches;
    }

    /// <summary>The records of a side input as a record batch.</summary>
    public static List<byte[]> Batches(IReadOnlyList<(long Key, Texts Value)> side)
    {
        if (side.Count == 0)
        {
            return [];
        }

        var key = new ByteBuffer();
        var builder = new RecordBatchBuilder();
        foreach (var (number, texts) in side)
        {
            key.Clear();
            Serdes.Int64.Serialize(number, key);
            builder.Append(0, key.Span, false, texts.Bytes, false);
        }

        return [builder.Build()];
    }
}
