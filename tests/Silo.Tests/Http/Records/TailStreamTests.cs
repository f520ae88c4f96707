using Microsoft.AspNetCore.Http;
using Orleans;
using OrleansStreams.Log;
using OrleansStreams.Silo.Http;
using OrleansStreams.Silo.Http.Records;

namespace OrleansStreams.Silo.Tests.Http.Records;

/// <summary>What an event stream does to the server and to a slow client.</summary>
[Collection(SiloCollection.Name)]
public sealed class TailStreamTests(SiloFixture fixture)
{
    private readonly TestSilo silo = fixture.Silo;

    [Fact]
    public async Task However_many_partitions_the_ids_name_the_text_is_sent_in_small_pieces()
    {
        const int Partitions = 400;
        const int Records = 1_000;
        var topic = await silo.CreateTopicAsync(Partitions);
        await silo.PostAsync($"/topics/{topic}/records", new { records = Enumerable.Range(0, Records).Select(number => new { value = $"{number}", partition = 0 }) });
        var grains = silo.Services.GetRequiredService<IGrainFactory>();
        var positions = new SortedDictionary<int, long>(Enumerable.Range(0, Partitions).ToDictionary(number => number, _ => 0L));
        using var left = new CancellationTokenSource();
        await using var body = new MeasuredBody(Records, left);
        var http = new DefaultHttpContext { RequestServices = silo.Services, RequestAborted = left.Token };
        http.Response.Body = body;

        var description = await grains.GetGrain<ITopicGrain>(topic).DescribeAsync();
        await new TailStream(grains, description, positions, ValueEncoding.Auto, new StreamsApiOptions(), TimeProvider.System).ExecuteAsync(http).WaitAsync(TimeSpan.FromSeconds(60));

        body.Events.ShouldBe(Records);
        body.Bytes.ShouldBeGreaterThan(1_500_000, "the ids make it much");
        body.LargestPiece.ShouldBeLessThan(128 * 1024);
        positions[0].ShouldBe(Records);
    }

    [Fact]
    public async Task A_client_that_lags_is_given_new_partitions_before_it_has_caught_up()
    {
        const int Megabytes = 24;
        await using var own = await TestSilo.StartAsync(options => options.TailKeepAlive = TimeSpan.FromMilliseconds(50));
        var topic = await own.CreateTopicAsync();
        for (var megabyte = 0; megabyte < Megabytes; megabyte++)
        {
            await own.PostAsync($"/topics/{topic}/records", new { records = Enumerable.Repeat(new { value = new string('x', 10_000) }, 100) });
        }

        await using var events = await EventStream.OpenAsync(own, $"/topics/{topic}/tail?from=earliest");
        await own.SendAsync(HttpMethod.Patch, $"/topics/{topic}", new { partitions = 2 }, System.Net.HttpStatusCode.OK);
        await own.PostAsync($"/topics/{topic}/records", new { value = "new", partition = 1 });

        var before = 0;
        while (await events.NextValueAsync() != "new")
        {
            before++;
        }

        before.ShouldBeLessThan(Megabytes * 100, "the backlog was read to its end first");
    }

    /// <summary>Counts what is written between two flushes; cancels when the last event has come.</summary>
    private sealed class MeasuredBody(int eventsMax, CancellationTokenSource enough) : MemoryStream
    {
        private long piece;
        private byte last;

        public long Bytes { get; private set; }

        public long LargestPiece { get; private set; }

        /// <summary>Blocks that were ended, but for the first, which has no data.</summary>
        public int Events { get; private set; } = -1;

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Bytes += buffer.Length;
            piece += buffer.Length;
            foreach (var letter in buffer.Span)
            {
                Events += letter == '\n' && last == '\n' ? 1 : 0;
                last = letter;
            }

            return ValueTask.CompletedTask;
        }

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override async Task FlushAsync(CancellationToken cancellationToken)
        {
            LargestPiece = Math.Max(LargestPiece, piece);
            piece = 0;
            if (Events >= eventsMax)
            {
                await enough.CancelAsync();
            }
        }
    }
}
