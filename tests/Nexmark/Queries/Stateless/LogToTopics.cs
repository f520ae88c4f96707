using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Stateless;

/// <summary>
/// Query 10: every bid to a log that is divided by time. The original writes files by date and minute; here it is a topic for each hour of the day, in which a record's key is its minute since the Unix
/// epoch, so that each minute lies in one partition.
/// </summary>
internal sealed class LogToTopics() : NexmarkQuery<long, Bid>("q10", EventParts.Bids | EventParts.BidTexts, Serdes.Int64, BidSerde.Instance)
{
    private const long MinuteMs = 60_000;
    private const long HourMs = 60 * MinuteMs;
    private const int Hours = 24;

    private static readonly string[] s_topics = [.. Enumerable.Range(0, Hours).Select(TopicOf)];

    public override IReadOnlyList<string> OutputTopics => s_topics;

    /// <summary>The topic of an hour.</summary>
    public static string TopicOf(int hour) => $"{OutputTopic}-{hour:D2}";

    public override void Describe(StreamsBuilder builder) => Results(builder.Stream(EventTopic, Consumed)).To((_, bid) => s_topics[bid.Time / HourMs % Hours], s_topics, Produced);

    protected override KStream<long, Bid> Results(KStream<long, Event> events) => events.Bids().SelectKey((_, bid) => bid.Time / MinuteMs);

    protected override IEnumerable<(long Key, Bid Value)> Model(IReadOnlyList<Event> events) =>
        from bid in events.Bids()
        let time = DateTimeOffset.FromUnixTimeMilliseconds(bid.Time)
        let minute = new DateTimeOffset(time.Year, time.Month, time.Day, time.Hour, time.Minute, 0, TimeSpan.Zero)
        select ((long)(minute - DateTimeOffset.UnixEpoch).TotalMinutes, bid);

    protected override HandLoop<long, Bid> Loop() => new ByHand();

    /// <summary>All hours go into one list of batches.</summary>
    private sealed class ByHand : HandLoop<long, Bid>
    {
        protected override void Take(in Event item, long time)
        {
            if (item.Kind == EventKind.Bid)
            {
                Emit(time, item.Bid.Time / MinuteMs, item.Bid);
            }
        }
    }
}
