using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Errors;
using OrleansStreams.Storage;
using static OrleansStreams.Log.LogFixture;

namespace OrleansStreams.Log;

/// <summary>Invariants 1, 3 and 4 against random networks: requests repeated, lost, overtaken; answers lost; the partition crashed.</summary>
public sealed class IdempotenceTests
{
    [Fact]
    public void Whatever_the_network_does_each_record_stands_in_the_log_once_and_in_order() => Check.One(
        PropertyRuns.Of(200),
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            Turns.Run(() => RunAsync(new Random(seed)));
            return true;
        }));

    private static async Task RunAsync(Random random)
    {
        var fixture = new LogFixture { Options = new StreamsOptions { CheckpointIntervalBytes = 500 } };
        var log = await fixture.OpenAsync();
        var producers = new[] { new Sender(1, 0), new Sender(2, int.MaxValue - 5), new Sender(3, 0) };
        for (var step = 0; step < 150; step++)
        {
            switch (random.Next(20))
            {
                case 0:
                    log = await fixture.OpenAsync();
                    break;
                case 1:
                    fixture.Storage.BeforeWrite = _ => throw new InvalidOperationException("lost before the write");
                    await producers[random.Next(producers.Length)].SendAsync(log, random);
                    log = await fixture.OpenAsync();
                    break;
                case 2:
                    fixture.Storage.AfterWrite = _ => throw new InvalidOperationException("lost after the write");
                    await producers[random.Next(producers.Length)].SendAsync(log, random);
                    log = await fixture.OpenAsync();
                    break;
                default:
                    await producers[random.Next(producers.Length)].SendAsync(log, random);
                    break;
            }

            fixture.Storage.BeforeWrite = null;
            fixture.Storage.AfterWrite = null;
        }

        foreach (var producer in producers)
        {
            await producer.FinishAsync(log);
        }

        var stored = await ReadAllAsync(log);
        stored.Select(record => record.Offset).ShouldBe(Enumerable.Range(0, stored.Count).Select(offset => (long)offset));
        foreach (var producer in producers)
        {
            stored.Where(record => record.Value.StartsWith($"{producer.Id}:", StringComparison.Ordinal)).ShouldBe(producer.Acknowledged);
        }
    }

    /// <summary>A producer with up to five batches under way, which it sends and repeats in any order; moves on when the oldest is acknowledged.</summary>
    private sealed class Sender(long id, int firstSequence)
    {
        private readonly List<(int Sequence, int Count)> _window = [];
        private readonly List<(int Sequence, int Count)> _done = [];
        private int _next = firstSequence;
        private bool _isKnown;

        public long Id => id;

        public List<(long Offset, string Value)> Acknowledged { get; } = [];

        public async Task SendAsync(PartitionLog log, Random random)
        {
            // As the producer does: no second batch before the partition knows the first.
            while (_window.Count < (_isKnown ? 5 : 1) && random.Next(3) > 0)
            {
                Enqueue(random.Next(1, 4));
            }

            if (_done.Count > 0 && random.Next(4) == 0)
            {
                // A request that was on the way for long arrives once more.
                var late = _done[random.Next(_done.Count)];
                (await TryAsync(log, late))?.IsDuplicate.ShouldBeTrue();
            }

            if (_window.Count > 0)
            {
                var chosen = _window[random.Next(_window.Count)];
                var isOldest = chosen == _window[0];
                if (await TryAsync(log, chosen) is { } result && isOldest && random.Next(3) > 0)
                {
                    Acknowledge(result);
                }
            }
        }

        public async Task FinishAsync(PartitionLog log)
        {
            while (_window.Count > 0)
            {
                Acknowledge((await TryAsync(log, _window[0])).ShouldNotBeNull());
            }
        }

        private void Enqueue(int count)
        {
            _window.Add((_next, count));
            _next = Sequences.Add(_next, count);
        }

        private void Acknowledge(ProduceResult result)
        {
            var (sequence, count) = _window[0];
            result.BaseOffset.ShouldBeGreaterThanOrEqualTo(0);
            for (var i = 0; i < count; i++)
            {
                Acknowledged.Add((result.BaseOffset + i, $"{id}:{Sequences.Add(sequence, i)}"));
            }

            _done.Add(_window[0]);
            _window.RemoveAt(0);
            _isKnown = true;
        }

        private async Task<ProduceResult?> TryAsync(PartitionLog log, (int Sequence, int Count) batch)
        {
            try
            {
                return await log.AppendAsync(Sequenced(id, batch.Sequence, batch.Count));
            }
            catch (StreamsException exception) when (exception.IsRetriable || exception.Code == StreamsErrorCode.OutOfOrderSequence)
            {
                return null;
            }
        }
    }
}
