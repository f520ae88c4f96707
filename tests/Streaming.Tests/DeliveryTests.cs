using System.Text;

namespace OrleansStreams.Streaming;

/// <summary>Consumers that are slow, or fail.</summary>
[Collection(SharedSilosCollection.Name)]
public sealed class DeliveryTests(SharedSilos shared)
{
    private static readonly string s_ballast = new('x', 1000);

    private readonly StreamSilos _silos = shared.Silos;

    [Fact]
    public async Task A_consumer_that_stands_still_neither_stops_another_nor_loses_an_event_however_small_the_cache()
    {
        const int Count = 1000;
        var gate = new TaskCompletionSource();
        var stream = _silos.Stream<string>(SharedSilos.Small, "slow", "slow-and-fast");
        Probe.For("slow").Handler = _ => gate.Task;
        var slow = await SubscribeAsync("slow", SharedSilos.Small, stream);
        var fast = await SubscribeAsync("fast", SharedSilos.Small, stream);
        await Task.WhenAll(Enumerable.Range(0, Count).Select(i => stream.OnNextAsync($"{i}:{s_ballast}")));
        await fast.UntilAsync(p => p.Completed.Length == Count, "all events at the fast consumer");
        slow.Completed.ShouldBeEmpty();
        gate.SetResult();
        await slow.UntilAsync(p => p.Completed.Length == Count, "all events at the slow consumer");
        slow.Items.ShouldBe(fast.Items);
        fast.Items.ShouldBe(Enumerable.Range(0, Count).Select(i => $"{i}:{s_ballast}"));
        slow.Errors.ShouldBeEmpty();
        fast.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task The_checkpoint_never_passes_an_event_whose_consumer_is_not_done()
    {
        const string Provider = SharedSilos.Poison;
        var gate = new TaskCompletionSource();
        var blocked = _silos.Stream<string>(Provider, "checkpoint", "checkpoint-blocked");
        var free = _silos.Stream<string>(Provider, "checkpoint", "checkpoint-free");
        Probe.For("checkpoint-blocked").Handler = item => item == "b1" ? gate.Task : Task.CompletedTask;
        var blockedProbe = await SubscribeAsync("checkpoint-blocked", Provider, blocked);
        var freeProbe = await SubscribeAsync("checkpoint-free", Provider, free);
        await blocked.OnNextAsync("b0");
        await blocked.OnNextAsync("b1");
        await blocked.OnNextAsync("b2");
        for (var i = 0; i < 20; i++)
        {
            await free.OnNextAsync($"f{i}");
        }

        await freeProbe.UntilAsync(p => p.Completed.Length == 20, "the events of the free consumer");
        await blockedProbe.UntilAsync(p => p.Items.Length == 2, "the event that blocks");
        var open = blockedProbe.Taken[1].Token.SequenceNumber;
        await Wait.UntilAsync(async () => await _silos.CheckpointAsync(Provider) == open, "the checkpoint right before the event that blocks");

        // Some intervals in which it could go wrong: each event of the free stream is a round of the agent.
        for (var i = 20; i < 40; i++)
        {
            await free.OnNextAsync($"f{i}");
            await freeProbe.UntilAsync(p => p.Completed.Length == i + 1, "another event of the free consumer");
            (await _silos.CheckpointAsync(Provider)).ShouldBe(open);
        }

        gate.SetResult();
        await Wait.UntilAsync(async () => await _silos.CheckpointAsync(Provider) == await _silos.EndAsync(Provider), "the checkpoint at the end");
        blockedProbe.Items.ShouldBe(["b0", "b1", "b2"]);
    }

    [Fact]
    public async Task A_poison_event_is_a_dead_letter_after_exactly_its_tries_while_others_go_on()
    {
        const string Provider = SharedSilos.Poison;
        var sick = _silos.Stream<string>(Provider, "poison", "sick");
        var well = _silos.Stream<string>(Provider, "poison", "well");
        Probe.For("sick").Handler = item => item == "poison" ? throw new InvalidOperationException("cannot digest") : Task.CompletedTask;
        var sickProbe = await SubscribeAsync("sick", Provider, sick);
        var wellProbe = await SubscribeAsync("well", Provider, well);
        await sick.OnNextAsync("before");
        await sick.OnNextAsync("poison");
        await sick.OnNextAsync("after");
        await sickProbe.UntilAsync(p => p.Items.Contains("poison"), "the first try");
        await well.OnNextAsync("meanwhile");
        await wellProbe.UntilAsync(p => p.Completed.Length == 1, "the event of the other stream");
        sickProbe.Completed.ShouldBe(["before"]);

        await sickProbe.UntilAsync(p => p.Completed.Contains("after"), "the event behind the poison");
        sickProbe.Items.ShouldBe(["before", "poison", "poison", "poison", "poison", "after"]);
        sickProbe.Errors.Length.ShouldBe(1);
        var letter = (await DeadLettersAsync(Provider)).Single(l => l.Headers["dead-letter-stream"] == "poison/sick");
        letter.Key.ShouldBe("poison/sick");
        letter.Headers["dead-letter-topic"].ShouldBe($"streams-{Provider}");
        letter.Headers["dead-letter-partition"].ShouldBe("0");
        letter.Headers["dead-letter-offset"].ShouldBe($"{sickProbe.Taken[1].Token.SequenceNumber}");
        letter.Headers["dead-letter-attempts"].ShouldBe("4");
        letter.Headers["dead-letter-exception"].ShouldBe(typeof(InvalidOperationException).FullName);
        letter.Headers["dead-letter-message"].ShouldBe("cannot digest");
        var handles = await _silos.Client.GetStreamProvider(Provider).GetStream<string>(sick.StreamId).GetAllSubscriptionHandles();
        handles.ShouldBeEmpty("they belong to the grain");
        Guid.Parse(letter.Headers["dead-letter-subscription"]).ShouldNotBe(Guid.Empty);
        letter.Headers["orleans-streams"].ShouldBe("1");
        await Wait.UntilAsync(async () => await _silos.CheckpointAsync(Provider) == await _silos.EndAsync(Provider), "the checkpoint past the poison");
    }

    [Fact]
    public async Task A_poison_event_in_a_group_is_found_and_the_others_of_the_group_are_delivered()
    {
        const string Provider = SharedSilos.Batches;
        var stream = _silos.Stream<string>(Provider, "poison", "sick-group");
        var gate = new TaskCompletionSource();
        var probe = Probe.For("sick-group");
        probe.Handler = item => item switch
        {
            "g0" => gate.Task,
            "g3" => throw new FormatException("not this one"),
            _ => Task.CompletedTask,
        };
        await _silos.Client.GetGrain<IExplicitConsumer>("sick-group").SubscribeToBatchesAsync(Provider, stream.StreamId);
        await Task.WhenAll(Enumerable.Range(0, 8).Select(i => stream.OnNextAsync($"g{i}")));
        await probe.UntilAsync(p => p.Items.Length == 1, "the first event");
        gate.SetResult();
        await probe.UntilAsync(p => p.Completed.Contains("g7"), "the last of the group");
        probe.Completed.Distinct().ShouldBe(["g0", "g1", "g2", "g4", "g5", "g6", "g7"]);
        probe.Items.Count(item => item == "g3").ShouldBe(1 + 3);
        var letter = (await DeadLettersAsync(Provider)).Single(l => l.Headers["dead-letter-stream"] == "poison/sick-group");
        letter.Headers["dead-letter-attempts"].ShouldBe("3");
        letter.Headers["dead-letter-exception"].ShouldBe(typeof(FormatException).FullName);
    }

    [Fact]
    public async Task A_record_that_is_no_event_is_a_dead_letter_and_the_queue_goes_on()
    {
        const string Provider = SharedSilos.Poison;
        await using (var producer = _silos.Log.CreateProducer(Serdes.Utf8, Serdes.Utf8))
        {
            await producer.ProduceAsync(new ProducerRecord<string, string>($"streams-{Provider}", "stranger", "hello") { Headers = [new RecordHeader("own", "kept"u8.ToArray())] });
        }

        var stream = _silos.Stream<string>(Provider, "poison", "behind-stranger");
        var probe = await SubscribeAsync("behind-stranger", Provider, stream);
        await stream.OnNextAsync("event");
        await probe.UntilAsync(p => p.Completed.Length == 1, "the event behind the record");
        var letter = (await DeadLettersAsync(Provider)).Single(l => l.Key == "stranger");
        letter.Headers["own"].ShouldBe("kept");
        letter.Headers["dead-letter-message"].ShouldContain("Write to the topic through the stream provider");
    }

    private async Task<Probe> SubscribeAsync(string name, string provider, IAsyncStream<string> stream)
    {
        await _silos.Client.GetGrain<IExplicitConsumer>(name).SubscribeAsync(provider, stream.StreamId, null);
        return Probe.For(name);
    }

    private async Task<List<(string? Key, Dictionary<string, string> Headers)>> DeadLettersAsync(string provider)
    {
        var topic = new TopicPartition($"streams-{provider}-dead", 0);
        var end = (await _silos.Log.Admin.GetOffsetsAsync(topic)).HighWatermark;
        var letters = new List<(string?, Dictionary<string, string>)>();
        await using var consumer = _silos.Log.CreateConsumer(Serdes.Utf8, Serdes.Bytes);
        consumer.Assign((topic, StartPosition.Earliest));
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        await foreach (var letter in consumer.ConsumeAsync(limit.Token))
        {
            letters.Add((letter.Key, letter.Headers.ToDictionary(header => header.Key, header => Encoding.UTF8.GetString(header.Value.GetValueOrDefault().Span))));
            if (letter.Offset + 1 == end)
            {
                break;
            }
        }

        return letters;
    }
}
