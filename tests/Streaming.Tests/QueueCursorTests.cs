using Orleans.Serialization;

namespace OrleansStreams.Streaming;

/// <summary>A queue and its cursors alone: what they hold, what they say is done.</summary>
public sealed class QueueCursorTests
{
    private static readonly StreamId s_a = StreamId.Create("ns", "a");
    private static readonly StreamId s_b = StreamId.Create("ns", "b");

    private readonly StreamRecordFormat _format = new(((IServiceProvider)new ServiceCollection().AddSerializer().BuildServiceProvider()).GetRequiredService<Serializer>());
    private readonly PartitionQueue _queue;

    public QueueCursorTests() => _queue = Queue(new LogStreamOptions { CacheBytesMax = 64 * 1024, ReadAheadBytesMax = 64 * 1024 });

    [Fact]
    public void An_event_is_open_until_the_step_after_it()
    {
        Add(s_a, 0);
        Add(s_b, 1);
        Add(s_a, 2);
        var a = Cursor(s_a, 0);
        var b = Cursor(s_b, 0);
        _queue.OpenOffset.ShouldBe(0);
        Next(a).ShouldBe(0);
        Next(b).ShouldBe(1);
        b.MoveNext().ShouldBeFalse();
        _queue.OpenOffset.ShouldBe(0);
        Next(a).ShouldBe(2);
        _queue.OpenOffset.ShouldBe(2);
        a.MoveNext().ShouldBeFalse();
        _queue.OpenOffset.ShouldBe(3);
    }

    [Fact]
    public void An_event_that_its_cursor_has_not_looked_at_is_open()
    {
        var a = Cursor(s_a, 0);
        a.MoveNext().ShouldBeFalse();
        Add(s_a, 0);
        _queue.OpenOffset.ShouldBe(0);
        a.Dispose();
        _queue.OpenOffset.ShouldBe(1);
    }

    [Fact]
    public void Records_that_the_agent_never_took_are_not_done()
    {
        Add(s_a, 0);
        _queue.Recent.End.ShouldBe(1);
        var received = new ReceivedRecord(Record(s_a, 1));
        _queue.OpenOffset.ShouldBe(1);
        _queue.AddToCache([received, new StreamWakeUp(s_b, 1)]);
        _queue.OpenOffset.ShouldBe(2);
    }

    [Fact]
    public void What_the_cache_holds_is_bounded_however_far_behind_a_cursor_is()
    {
        var a = Cursor(s_a, 0);
        Add(s_a, 0);
        Next(a).ShouldBe(0);
        for (var offset = 1; offset < 1000; offset++)
        {
            Add(s_a, offset);
            _queue.Recent.Bytes.ShouldBeLessThanOrEqualTo(64 * 1024);
        }

        _queue.Recent.Start.ShouldBeGreaterThan(900);
        _queue.IsUnderPressure().ShouldBeFalse();
        _queue.OpenOffset.ShouldBe(0);
        a.MoveNext().ShouldBeFalse();
        ((QueueCursor)a).IsLagging.ShouldBeTrue();
        _queue.OpenOffset.ShouldBe(1);
        _queue.WantsReadAhead.ShouldBeTrue();
    }

    [Fact]
    public void A_cursor_whose_stream_lost_nothing_does_not_lag_however_much_others_did()
    {
        var b = Cursor(s_b, 0);
        b.MoveNext().ShouldBeFalse();
        for (var offset = 0; offset < 1000; offset++)
        {
            Add(s_a, offset);
        }

        Add(s_b, 1000);
        ((QueueCursor)b).IsLagging.ShouldBeFalse();
        Next(b).ShouldBe(1000);
    }

    [Fact]
    public void What_is_read_ahead_is_bounded_for_all_cursors_together_and_each_may_have_one()
    {
        var streams = Enumerable.Range(0, 200).Select(i => StreamId.Create("many", $"{i}")).ToList();
        foreach (var (stream, offset) in streams.Select((stream, i) => (stream, i)))
        {
            Add(stream, offset);
        }

        for (var offset = 200; offset < 1000; offset++)
        {
            Add(s_b, offset);
        }

        var cursors = streams.ConvertAll(stream => (QueueCursor)Cursor(stream, 0));
        cursors.ForEach(cursor => cursor.MoveNext().ShouldBeFalse());
        _queue.ReadAhead(streams.SelectMany((stream, i) => new[] { Record(stream, i) }), 0, 200).Count.ShouldBe(200);
        cursors.ShouldAllBe(cursor => cursor.AheadCount == 1);

        // Past the bound nobody gets a second one.
        foreach (var cursor in cursors)
        {
            cursor.IsLagging = true;
        }

        _queue.ReadAhead(streams.SelectMany((stream, i) => new[] { Record(stream, 200 + i) }), 200, 400);
        cursors.ShouldAllBe(cursor => cursor.AheadCount == 1);
        cursors.ForEach(cursor => cursor.Dispose());
        _queue.ReadAheadBytes.ShouldBe(0);
    }

    [Fact]
    public void A_lagging_cursor_goes_from_the_log_over_to_the_cache_without_a_gap()
    {
        for (var offset = 0; offset < 200; offset++)
        {
            Add(offset % 2 == 0 ? s_a : s_b, offset);
        }

        var a = Cursor(s_a, 10);
        var seen = new List<long>();
        while (true)
        {
            while (a.MoveNext())
            {
                seen.Add(a.GetCurrent(out _)!.SequenceToken.SequenceNumber);
            }

            if (!_queue.TryTakeWanting(out var wanting))
            {
                break;
            }

            var from = wanting.Next;
            var to = Math.Min(from + 7, 200);
            _queue.ReadAhead(Enumerable.Range((int)from, (int)(to - from)).Select(offset => Record(offset % 2 == 0 ? s_a : s_b, offset)), from, to);
        }

        seen.ShouldBe(Enumerable.Range(5, 95).Select(i => 2L * i));
        ((QueueCursor)a).IsLagging.ShouldBeFalse();
    }

    [Fact]
    public void A_failed_event_is_handed_out_again_until_it_is_a_dead_letter()
    {
        Add(s_a, 0);
        Add(s_a, 1);
        var a = Cursor(s_a, 0);
        Next(a).ShouldBe(0);
        a.RecordDeliveryFailure();
        Next(a).ShouldBe(0);
        _queue.OpenOffset.ShouldBe(0);
        a.RecordDeliveryFailure();
        ((QueueCursor)a).Current!.IsDeadLetter = true;
        Next(a).ShouldBe(1);
        _queue.OpenOffset.ShouldBe(1);
    }

    [Fact]
    public void A_failed_group_is_taken_apart()
    {
        var queue = Queue(new LogStreamOptions { DeliveryBatchMax = 10 });
        queue.AddToCache([.. Enumerable.Range(0, 4).Select(offset => new ReceivedRecord(Record(s_a, offset)))]);
        var a = queue.GetCacheCursor(s_a, new EventSequenceTokenV2(0));
        Next(a).ShouldBe(0);
        a.MoveNext().ShouldBeTrue();
        a.GetCurrent(out _).ShouldBeAssignableTo<IBatchContainerBatch>()!.BatchContainers.Count.ShouldBe(3);
        a.GetCurrent(out _)!.SequenceToken.SequenceNumber.ShouldBe(3);
        a.RecordDeliveryFailure();
        new[] { Next(a), Next(a), Next(a) }.ShouldBe([1, 2, 3]);
        queue.OpenOffset.ShouldBe(3);
    }

    [Fact]
    public void A_step_that_nobody_looks_at_passes_only_what_the_consumer_said_to_have()
    {
        Add(s_a, 0);
        Add(s_a, 1);

        // Asked to begin there: the agent's step past the token doesn't count.
        var resumed = Cursor(s_a, 0);
        resumed.MoveNext().ShouldBeTrue();
        Next(resumed).ShouldBe(0);

        // Had already.
        ((QueueCursor)resumed).Current!.Refused(Guid.NewGuid());
        var past = Cursor(s_a, 0);
        past.MoveNext().ShouldBeTrue();
        Next(past).ShouldBe(1);
    }

    [Fact]
    public void A_cursor_that_lost_events_tells_so_and_the_one_in_its_place_goes_on_where_the_log_begins()
    {
        for (var offset = 0; offset < 1000; offset++)
        {
            Add(s_a, offset);
        }

        var a = (QueueCursor)Cursor(s_a, 5);
        a.MoveNext().ShouldBeFalse();
        _queue.LoseBelow(a, 100).ShouldBe([s_a]);
        Should.Throw<DataNotAvailableException>(() => a.MoveNext()).Message.ShouldContain("from offset 5 to 99");
        a.Dispose();
        var next = (QueueCursor)_queue.GetCacheCursor(s_a, null);
        next.Next.ShouldBe(100);
        next.IsLagging.ShouldBeTrue();
        ((QueueCursor)_queue.GetCacheCursor(s_a, null)).Next.ShouldBe(1000);
    }

    private static PartitionQueue Queue(LogStreamOptions options, StreamRecordFormat format)
    {
        var queue = new PartitionQueue(new TopicPartition("t", 0), options.Resolve("t"), format);
        queue.Recent.Reset(0);
        return queue;
    }

    private static long Next(IQueueCacheCursor cursor)
    {
        cursor.MoveNext().ShouldBeTrue();
        return cursor.GetCurrent(out _)!.SequenceToken.SequenceNumber;
    }

    private static StreamRecord Record(StreamId stream, long offset) => new(offset, stream, new byte[872], null);

    private PartitionQueue Queue(LogStreamOptions options) => Queue(options, _format);

    private IQueueCacheCursor Cursor(StreamId stream, long offset) => _queue.GetCacheCursor(stream, new EventSequenceTokenV2(offset));

    private void Add(StreamId stream, long offset) => _queue.AddToCache([new ReceivedRecord(Record(stream, offset))]);
}
