namespace OrleansStreams.Streaming;

/// <summary>Orleans code as it stands, on the log.</summary>
[Collection(SharedSilosCollection.Name)]
public sealed class SubscriptionTests(SharedSilos shared)
{
    private readonly StreamSilos _silos = shared.Silos;

    [Fact]
    public async Task An_explicit_subscriber_gets_every_event_once_in_order_with_growing_tokens()
    {
        var (consumer, stream, probe) = Consumer(SharedSilos.Plain, "explicit-order");
        await consumer.SubscribeAsync(SharedSilos.Plain, stream.StreamId, null);
        for (var i = 0; i < 100; i++)
        {
            await stream.OnNextAsync($"e{i}");
        }

        await probe.UntilAsync(p => p.Completed.Length == 100, "100 events");
        probe.Items.ShouldBe(Enumerable.Range(0, 100).Select(i => $"e{i}"));
        probe.Taken.Select(taken => taken.Token.SequenceNumber).ShouldBeInOrder();
        probe.Taken.Select(taken => taken.Token).Distinct().Count().ShouldBe(100);
    }

    [Fact]
    public async Task Events_that_are_sent_without_waiting_for_each_other_keep_their_order()
    {
        var (consumer, stream, probe) = Consumer(SharedSilos.Plain, "unawaited");
        await consumer.SubscribeAsync(SharedSilos.Plain, stream.StreamId, null);
        await Task.WhenAll(Enumerable.Range(0, 500).Select(i => stream.OnNextAsync($"e{i}")));
        await probe.UntilAsync(p => p.Completed.Length == 500, "500 events");
        probe.Items.ShouldBe(Enumerable.Range(0, 500).Select(i => $"e{i}"));
    }

    [Fact]
    public async Task An_implicit_subscriber_gets_every_event_with_the_senders_request_context()
    {
        var probe = Probe.For("implicit-one");
        var stream = _silos.Stream<string>(SharedSilos.Plain, ImplicitConsumer.Namespace, "implicit-one");
        RequestContext.Set("trace", "t-1");
        await stream.OnNextAsync("first");
        RequestContext.Clear();
        await stream.OnNextAsync("second");
        await probe.UntilAsync(p => p.Completed.Length == 2, "two events");
        probe.Items.ShouldBe(["first", "second"]);
        probe.Taken.Select(taken => taken.Trace).ShouldBe(["t-1", null]);
    }

    [Fact]
    public async Task After_unsubscribing_nothing_comes_and_a_new_subscription_begins_with_what_comes_then()
    {
        var (consumer, stream, probe) = Consumer(SharedSilos.Plain, "unsubscribed");
        var (other, _, otherProbe) = Consumer(SharedSilos.Plain, "unsubscribed-other");
        await consumer.SubscribeAsync(SharedSilos.Plain, stream.StreamId, null);
        await other.SubscribeAsync(SharedSilos.Plain, stream.StreamId, null);
        await stream.OnNextAsync("one");
        await probe.UntilAsync(p => p.Completed.Length == 1, "the first event");
        await consumer.UnsubscribeAsync(SharedSilos.Plain, stream.StreamId);
        await stream.OnNextAsync("two");
        await otherProbe.UntilAsync(p => p.Completed.Length == 2, "the second event at the other subscriber");
        await consumer.SubscribeAsync(SharedSilos.Plain, stream.StreamId, null);
        await stream.OnNextAsync("three");
        await probe.UntilAsync(p => p.Completed.Contains("three"), "the third event");
        probe.Items.ShouldBe(["one", "three"]);
    }

    [Fact]
    public async Task A_consumer_of_batches_gets_many_events_a_call_and_batches_that_were_sent_together()
    {
        var (consumer, stream, probe) = Consumer(SharedSilos.Batches, "batched");
        await consumer.SubscribeToBatchesAsync(SharedSilos.Batches, stream.StreamId);
        var gate = new TaskCompletionSource();
        probe.Handler = _ => gate.Task;
        await stream.OnNextAsync("first");
        await probe.UntilAsync(p => p.Items.Length == 1, "the first event");
        for (var i = 0; i < 50; i++)
        {
            await stream.OnNextBatchAsync([$"a{i}", $"b{i}"]);
        }

        gate.SetResult();
        await probe.UntilAsync(p => p.Completed.Length == 101, "101 events");
        probe.Items.ShouldBe(["first", .. Enumerable.Range(0, 50).SelectMany(i => new[] { $"a{i}", $"b{i}" })]);
        probe.BatchSizes.Max().ShouldBeGreaterThan(2);
        probe.BatchSizes.Sum().ShouldBe(101);
        probe.Taken.Select(taken => taken.Token).Distinct().Count().ShouldBe(101);
    }

    [Fact]
    public async Task A_client_outside_of_the_silos_sends_and_subscribes()
    {
        var stream = _silos.Stream<string>(SharedSilos.Plain, "client", "outside");
        var probe = Probe.For("client-outside");
        await using var subscription = new ClientSubscription(await stream.SubscribeAsync((item, token) => probe.OnNextAsync(item, token, "client")));
        await stream.OnNextAsync("one");
        await stream.OnNextBatchAsync(["two", "three"]);
        await probe.UntilAsync(p => p.Completed.Length == 3, "three events");
        probe.Items.ShouldBe(["one", "two", "three"]);
        probe.Taken[2].Token.ShouldBe(new EventSequenceTokenV2(probe.Taken[1].Token.SequenceNumber, 1));
    }

    [Fact]
    public async Task A_sender_may_not_choose_tokens()
    {
        var stream = _silos.Stream<string>(SharedSilos.Plain, "client", "token");
        var refused = await Should.ThrowAsync<ArgumentException>(() => stream.OnNextAsync("x", new EventSequenceTokenV2(7)));
        refused.Message.ShouldContain("send without one");
    }

    private (IExplicitConsumer Consumer, IAsyncStream<string> Stream, Probe Probe) Consumer(string provider, string name) =>
        (_silos.Client.GetGrain<IExplicitConsumer>(name), _silos.Stream<string>(provider, "explicit", name), Probe.For(name));

    private sealed class ClientSubscription(StreamSubscriptionHandle<string> handle) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync() => await handle.UnsubscribeAsync();
    }
}
