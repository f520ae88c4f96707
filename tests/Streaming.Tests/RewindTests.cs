namespace OrleansStreams.Streaming;

/// <summary>Tokens: any retained offset can be gone back to, wherever the event is by now.</summary>
[Collection(SharedSilosCollection.Name)]
public sealed class RewindTests(SharedSilos shared)
{
    private const string Provider = SharedSilos.Small;

    private static readonly string s_ballast = new('x', 1000);

    private readonly StreamSilos _silos = shared.Silos;

    [Fact]
    public async Task A_subscription_with_a_token_within_the_cache_begins_with_that_event()
    {
        var (stream, first) = await SendAsync("rewind-near", 10);
        var probe = await SubscribeAsync("rewind-near-late", stream, first.Taken[3].Token);
        await probe.UntilAsync(p => p.Completed.Length == 7, "7 events");
        probe.Items.ShouldBe(first.Items[3..]);
        probe.Taken.Select(taken => taken.Token).ShouldBe(first.Taken[3..].Select(taken => taken.Token));
        probe.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_subscription_with_a_token_long_out_of_the_cache_reads_the_log_from_there_and_goes_over_to_what_is_new()
    {
        var (stream, first) = await SendAsync("rewind-far", 10);
        await SendAsync("rewind-far-between", 500, s_ballast);
        for (var i = 10; i < 200; i++)
        {
            await stream.OnNextAsync($"rewind-far-{i}{s_ballast}");
        }

        await first.UntilAsync(p => p.Completed.Length == 200, "200 events at the first subscriber");
        var probe = await SubscribeAsync("rewind-far-late", stream, first.Taken[2].Token);
        await probe.UntilAsync(p => p.Completed.Length == 198, "what the log has");
        await stream.OnNextAsync("new");
        await probe.UntilAsync(p => p.Completed.Length == 199, "what is new");
        await first.UntilAsync(p => p.Completed.Length == 201, "what is new at the first subscriber");
        probe.Items.ShouldBe(first.Items[2..]);
        probe.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_subscriber_that_resumes_with_an_old_token_gets_all_from_there_again_when_its_stream_moves()
    {
        var (stream, probe) = await SendAsync("rewind-resume", 5);
        await SendAsync("rewind-resume-between", 300, s_ballast);
        await _silos.Client.GetGrain<IExplicitConsumer>("rewind-resume").ResumeAsync(Provider, stream.StreamId, probe.Taken[1].Token);
        await stream.OnNextAsync("last");
        await probe.UntilAsync(p => p.Completed.Contains("last") && p.Completed.Length == 10, "the events again, and the last");
        probe.Items[5..].ShouldBe([.. probe.Items[1..5], "last"]);
        probe.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_new_subscription_with_an_old_token_is_served_although_its_stream_is_silent_since_its_agent_started()
    {
        await using var silos = await StreamSilos.StartAsync(2, "silent", options => options.Partitions = 2);
        var stream = silos.Stream<string>("silent", "rewind", "silent");
        await Task.WhenAll(Enumerable.Range(0, 10).Select(i => stream.OnNextAsync($"{i}")));
        var partition = new LogStreamQueueMapper("streams-silent", 2).PartitionOf(StreamRecordFormat.KeyOf(stream.StreamId));
        await Wait.UntilAsync(async () => await silos.CheckpointAsync("silent", partition) == 10, "the checkpoint, as nobody subscribes");

        // Agents that start anew know no stream before an event of it comes.
        foreach (var command in new[] { PersistentStreamProviderCommand.StopAgents, PersistentStreamProviderCommand.StartAgents })
        {
            foreach (var silo in silos.Silos)
            {
                await silo.Services.GetRequiredKeyedService<Orleans.Providers.IControllable>("silent").ExecuteCommand((int)command, null!);
            }
        }

        await silos.Client.GetGrain<IExplicitConsumer>("silent").SubscribeAsync("silent", stream.StreamId, new EventSequenceTokenV2(3));
        var probe = Probe.For("silent");
        await probe.UntilAsync(p => p.Completed.Length == 7, "what the log has from the token on");
        probe.Items.ShouldBe(Enumerable.Range(3, 7).Select(i => $"{i}"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_token_in_the_middle_of_a_batch_leaves_out_what_stands_before_it(bool isFar)
    {
        var name = $"rewind-middle-{isFar}";
        var (stream, first) = await SendAsync(name, 1);
        await stream.OnNextBatchAsync(["a", "b", "c"]);
        await stream.OnNextAsync("d");
        await first.UntilAsync(p => p.Completed.Length == 5, "5 events");
        if (isFar)
        {
            await SendAsync($"{name}-between", 300, s_ballast);
        }

        first.Items[2].ShouldBe("b");
        var probe = await SubscribeAsync($"{name}-late", stream, first.Taken[2].Token);
        await probe.UntilAsync(p => p.Completed.Length == 3, "three events");
        probe.Items.ShouldBe(["b", "c", "d"]);
    }

    [Fact]
    public async Task A_token_from_before_the_logs_start_is_told_to_the_consumer_who_then_gets_what_is_left()
    {
        var (stream, first) = await SendAsync("rewind-gone", 10, s_ballast);
        await SendAsync("rewind-gone-between", 300, s_ballast);
        var partition = new TopicPartition($"streams-{Provider}", 0);
        await _silos.Log.Admin.DeleteRecordsAsync(partition, first.Taken[6].Token.SequenceNumber);
        var probe = await SubscribeAsync("rewind-gone-late", stream, first.Taken[2].Token);
        await probe.UntilAsync(p => p.Completed.Length == 4, "what the log still has");
        probe.Items.ShouldBe(first.Items[6..]);
        var told = probe.Errors.ShouldHaveSingleItem().ShouldBeOfType<DataNotAvailableException>();
        told.Message.ShouldContain($"delivery goes on at offset {first.Taken[6].Token.SequenceNumber}");
        told.Message.ShouldContain("longer retention");
    }

    /// <summary>A stream with a subscriber that has completed its first events.</summary>
    private async Task<(IAsyncStream<string> Stream, Probe First)> SendAsync(string name, int count, string suffix = "")
    {
        var stream = _silos.Stream<string>(Provider, "rewind", name);
        var probe = await SubscribeAsync(name, stream, null);
        await Task.WhenAll(Enumerable.Range(0, count).Select(i => stream.OnNextAsync($"{name}-{i}{suffix}")));
        await probe.UntilAsync(p => p.Completed.Length == count, $"{count} events of {name}");
        return (stream, probe);
    }

    private async Task<Probe> SubscribeAsync(string name, IAsyncStream<string> stream, StreamSequenceToken? token)
    {
        await _silos.Client.GetGrain<IExplicitConsumer>(name).SubscribeAsync(Provider, stream.StreamId, token);
        return Probe.For(name);
    }
}
