using System.Text;
using Orleans.Configuration;
using Orleans.Serialization;

namespace OrleansStreams.Streaming;

public sealed class FormatAndOptionsTests
{
    private readonly StreamRecordFormat _format = new(((IServiceProvider)new ServiceCollection().AddSerializer().BuildServiceProvider()).GetRequiredService<Serializer>());

    [Theory]
    [InlineData("orders", "42", "orders/42")]
    [InlineData(null, "42", "42")]
    [InlineData("a", "b/c", "a/b/c")]
    [InlineData("a/b", "c", "a/b/c")]
    public void A_stream_and_its_events_come_back_from_the_record(string? ns, string key, string recordKey)
    {
        var stream = StreamId.Create(ns, key);
        var context = _format.WriteContext(new Dictionary<string, object> { ["trace"] = 7 });
        var record = Read(StreamRecordFormat.KeyOf(stream), _format.Write(["one", 2]), StreamRecordFormat.HeadersOf(stream, context));
        Encoding.UTF8.GetString(StreamRecordFormat.KeyOf(stream)).ShouldBe(recordKey);
        record.ShouldNotBeNull().Stream.ShouldBe(stream);
        _format.ReadEvents(record.Events).ShouldBe(["one", 2]);
        _format.ReadContext(record.RequestContext!).ShouldBe(new Dictionary<string, object> { ["trace"] = 7 });
    }

    [Fact]
    public void A_record_without_our_header_or_with_a_namespace_that_is_not_in_its_key_is_none_of_ours()
    {
        var stream = StreamId.Create("orders", "42");
        var value = _format.Write(["x"]);
        Read(StreamRecordFormat.KeyOf(stream), value, []).ShouldBeNull();
        Read("other/42"u8.ToArray(), value, StreamRecordFormat.HeadersOf(stream, null)).ShouldBeNull();
        Read("orders/"u8.ToArray(), value, StreamRecordFormat.HeadersOf(stream, null)).ShouldBeNull();
        Read("orders"u8.ToArray(), value, StreamRecordFormat.HeadersOf(stream, null)).ShouldBeNull();
        Read(StreamRecordFormat.KeyOf(stream), value, [new RecordHeader("orleans-streams", "2"u8.ToArray())]).ShouldBeNull();
    }

    [Fact]
    public void A_consumer_of_a_type_gets_the_events_of_that_type_with_their_places_in_the_batch()
    {
        var record = new StreamRecord(9, StreamId.Create("n", "k"), _format.Write(["one", 2, "three", null!]), null);
        var container = new StreamRecordContainer(record, 0, _format, null);
        container.GetEvents<string>().Select(e => (e.Item1, e.Item2.EventIndex)).ShouldBe([("one", 0), ("three", 2), (null!, 3)]);
        container.GetEvents<int>().Single().Item2.ShouldBe(new EventSequenceTokenV2(9, 1));
        container.GetEvents<string>().First().Item1.ShouldNotBeSameAs(container.GetEvents<string>().First().Item1);
    }

    [Fact]
    public void Options_out_of_bounds_are_refused_by_name()
    {
        Refused(options => options.Partitions = 0).ShouldBe("LogStreamOptions.Partitions of the stream provider 'p' must be 1 to 10000, not 0");
        Refused(options => options.DeliveryAttemptsMax = 0).ShouldContain("DeliveryAttemptsMax");
        Refused(options => options.DeliveryBackoffMaxMs = 50).ShouldContain("DeliveryBackoffMaxMs");
        Refused(options => options.CacheBytesMax = 10).ShouldContain("CacheBytesMax");
        Refused(options => options.DeadLetterTopic = "streams-p").ShouldContain("DeadLetterTopic");
        var resolved = new LogStreamOptions().Resolve("p");
        (resolved.Topic, resolved.DeadLetterTopic, resolved.CheckpointGroup).ShouldBe(("streams-p", "streams-p-dead", "orleans-streams-p"));

        static string Refused(Action<LogStreamOptions> configure)
        {
            var options = new LogStreamOptions();
            configure(options);
            var error = Should.Throw<StreamsException>(() => options.Resolve("p"));
            error.Code.ShouldBe(StreamsErrorCode.InvalidConfig);
            return error.Message;
        }
    }

    [Fact]
    public async Task A_silo_does_not_start_with_batches_made_by_the_agent_or_another_number_of_partitions()
    {
        var partitions = 2;
        var batchSize = 1;
        await using var silos = await StreamSilos.StartAsync(
            1,
            silo => silo.AddLogStreams("strict", options => options.Partitions = partitions, streams => streams.ConfigurePullingAgent(
                agents => agents.Configure(options => options.BatchContainerBatchSize = batchSize))),
            client => client.AddLogStreams("strict", options => options.Partitions = partitions));
        partitions = 3;
        using var wrong = silos.BuildSilo();
        var other = await Should.ThrowAsync<StreamsException>(() => wrong.StartAsync());
        other.Message.ShouldContain("has 2 partitions, but LogStreamOptions.Partitions of the stream provider 'strict' is 3: set it to 2");
        partitions = 2;
        batchSize = 10;
        using var batching = silos.BuildSilo();
        var refused = await Should.ThrowAsync<StreamsException>(() => batching.StartAsync());
        refused.Message.ShouldContain("set LogStreamOptions.DeliveryBatchMax instead");
    }

    [Theory]
    [InlineData(1, 8)]
    [InlineData(3, 8)]
    [InlineData(5, 3)]
    [InlineData(7, 100)]
    public void Queues_are_spread_evenly_and_few_move_when_a_silo_goes(int silos, int queues)
    {
        var all = new LogStreamQueueMapper("t", queues).GetAllQueues().ToList();
        var names = Enumerable.Range(0, silos).Select(i => $"S10.0.0.{i}:11111:1").ToList();
        var before = EvenQueueBalancer.Spread(all, names);
        before.Keys.Order().ShouldBe(all.Order());
        var loads = before.GroupBy(pair => pair.Value).Select(group => group.Count()).ToList();
        loads.Max().ShouldBeLessThanOrEqualTo((queues + silos - 1) / silos);
        EvenQueueBalancer.Spread(Enumerable.Reverse(all), [.. Enumerable.Reverse(names)]).OrderBy(p => p.Key).ShouldBe(before.OrderBy(p => p.Key));
        if (silos == 1)
        {
            EvenQueueBalancer.Spread(all, []).ShouldBeEmpty();
            return;
        }

        var after = EvenQueueBalancer.Spread(all, names[1..]);
        var lost = before.Count(pair => pair.Value == names[0]);
        after.Count(pair => pair.Value != before[pair.Key]).ShouldBeLessThanOrEqualTo(lost + (queues / 2));
        after.Values.ShouldNotContain(names[0]);
    }

    private static StreamRecord? Read(byte[] key, byte[] value, List<RecordHeader> headers)
    {
        var builder = new RecordBatchBuilder(CompressionType.None);
        builder.Append(0, key, keyIsNull: false, value, valueIsNull: false, headers);
        var reader = new RecordBatchReader(builder.Build());
        reader.TryRead(out var view).ShouldBeTrue();
        return StreamRecordFormat.TryRead(view, out var record) ? record : null;
    }
}
