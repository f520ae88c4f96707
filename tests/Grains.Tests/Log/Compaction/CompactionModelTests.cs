using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Errors;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;
using OrleansStreams.Tests.Storage;
using static OrleansStreams.Log.Compaction.CompactionFixture;

namespace OrleansStreams.Log.Compaction;

/// <summary>
/// Random records, tombstones, compactions and crashes on a simulated disk, against the simplest model there is: all records that were ever acknowledged.
/// After every step a reader sees increasing offsets, only records that were written at their offsets, and of each key the right last value.
/// </summary>
public sealed class CompactionModelTests
{
    [Fact]
    public void A_compacted_log_always_holds_the_last_value_of_each_key_whatever_crashes()
    {
        var steps = Gen.ListOf(Gen.Choose(0, 999)).Resize(60);
        var scenario = from list in steps from seed in Gen.Choose(0, int.MaxValue - 1) select (Steps: list.ToArray(), Seed: seed);
        FsCheck.Check.One(
            PropertyRuns.Of(60),
            Prop.ForAll(Arb.From(scenario), run => Turns.Run(() => new Run(run.Seed).RunAsync(run.Steps))));
    }

    private sealed class Run(int seed)
    {
        private readonly Random _random = new(seed);
        private readonly LogFixture _fixture = new()
        {
            Config = Compacted with { SegmentBytes = 1024, DeleteRetentionMs = 1000 },
            Options = new StreamsOptions { CompactionMapBytes = 12 * KeyOffsetMap.SlotBytes, CompactionReadBytes = 400 },
        };

        // What was acknowledged, and what may have been written besides.
        private readonly SortedDictionary<long, (string Key, string Value)> _written = [];
        private readonly Dictionary<long, List<(string Key, string Value)>> _uncertain = [];
        private SimulatedDisk _disk = new() { Seed = seed };
        private FileLogStorage? _storage;
        private PartitionLog? _log;

        public async Task RunAsync(int[] steps)
        {
            await RestartAsync();
            for (var i = 0; i < steps.Length; i++)
            {
                switch (steps[i] % 10)
                {
                    case < 5:
                        await AppendAsync(steps[i], i);
                        break;
                    case 5 or 6:
                        _fixture.Time.Advance(TimeSpan.FromMilliseconds(400));
                        await TryAsync(async () =>
                        {
                            await _log!.MaintainAsync(_fixture.Slots);
                            await _log.Compacting;
                        });
                        break;
                    case 7:
                        await CrashWhileCompactingAsync(steps[i]);
                        break;
                    case 8:
                        _disk.FaultAt = (_disk.Operations + 1 + (steps[i] % 7), DiskFault.Crash);
                        await AppendAsync(steps[i], i);
                        break;
                    default:
                        await RestartAsync(isClean: true);
                        break;
                }

                if (_disk.IsDown || _log is not { IsUsable: true })
                {
                    await RestartAsync();
                }

                await CheckAsync();
            }

            await CloseAsync();
        }

        private async Task AppendAsync(int step, int i)
        {
            var records = Enumerable.Range(0, 1 + (step % 3))
                .Select(n => ((string?)$"k{(step + (n * 7)) % 9}", (step + n) % 4 == 0 ? null : (string?)$"{i}.{n}{new string('.', step % 150)}")).ToArray();
            var offset = _log!.Offsets.LogEndOffset;
            var shown = records.Select((record, n) => (Offset: offset + n, Key: record.Item1!, Value: record.Item2 ?? "-")).ToList();
            foreach (var record in shown)
            {
                (_uncertain.TryGetValue(record.Offset, out var list) ? list : _uncertain[record.Offset] = []).Add((record.Key, record.Value));
            }

            await TryAsync(async () =>
            {
                (await _log!.AppendAsync(Keyed(_fixture.Now, records))).BaseOffset.ShouldBe(offset);
                shown.ForEach(record => _written[record.Offset] = (record.Key, record.Value));
            });
        }

        /// <summary>Power fails at some operation of a compaction, or between two of its reads.</summary>
        private async Task CrashWhileCompactingAsync(int step)
        {
            _disk.FaultAt = (_disk.Operations + 1 + (step % 23), DiskFault.Crash);
            await TryAsync(async () =>
            {
                await _log!.MaintainAsync(_fixture.Slots);
                await _log.Compacting;
            });
            _disk.FaultAt = null;
            await RestartAsync();
        }

        private static async Task TryAsync(Func<Task> action)
        {
            try
            {
                await action();
            }
            catch (StreamsException exception) when (exception.Code is StreamsErrorCode.StorageError or StreamsErrorCode.NotLeader)
            {
                // The disk is down; what was not acknowledged stays uncertain.
            }
        }

        private async Task RestartAsync(bool isClean = false)
        {
            if (isClean)
            {
                _disk.FaultAt = null;
                await CloseAsync();
            }

            _disk = isClean && !_disk.IsDown ? _disk : _disk.AfterCrash(_random.Next());
            _storage = new FileLogStorage(
                new FileLogStorageOptions { RootPath = "/data", TailCacheBytes = _random.Next(2) * 1_000_000 }, _disk, _fixture.Time, NullLogger.Instance);
            _log = await PartitionLog.OpenAsync(_storage, LogFixture.Id, _fixture.Config, _fixture.Options, _fixture.Time);
            await AdoptAsync();
        }

        /// <summary>What was found after a crash counts from now on as much as what was acknowledged.</summary>
        private async Task AdoptAsync()
        {
            var end = _log!.Offsets.HighWatermark;
            (_written.Count == 0 ? 0 : _written.Keys.Max() + 1).ShouldBeLessThanOrEqualTo(end, "something acknowledged is lost");
            foreach (var (offset, key, value) in await _log.RecordsAsync())
            {
                if (!_written.ContainsKey(offset))
                {
                    _uncertain[offset].ShouldContain((key, value));
                    _written[offset] = (key, value);
                }
            }

            _uncertain.Clear();
        }

        private async Task CloseAsync()
        {
            await TryAsync(async () => await _log!.DisposeAsync());
            await TryAsync(async () => await _storage!.DisposeAsync());
        }

        private async Task CheckAsync()
        {
            var log = _log!;
            var seen = await log.RecordsAsync(1 + _random.Next(2000));
            var isCertain = log.Offsets.HighWatermark == (_written.Count == 0 ? 0 : _written.Keys.Max() + 1);
            foreach (var (offset, key, value) in seen)
            {
                if (_written.TryGetValue(offset, out var written))
                {
                    written.ShouldBe((key, value));
                }
            }

            isCertain.ShouldBeTrue("every acknowledged record's offset stays covered, and nothing else is there");
            var last = _written.GroupBy(entry => entry.Value.Key).ToDictionary(group => group.Key, group => group.Last());
            foreach (var (key, entry) in last)
            {
                var found = seen.LastOrDefault(record => record.Key == key);
                if (entry.Value.Value == "-")
                {
                    (found.Key is null || found.Value == "-").ShouldBeTrue($"{key} was deleted, but offset {found.Offset} shows it");
                }
                else
                {
                    found.ShouldBe((entry.Key, key, entry.Value.Value));
                }
            }
        }
    }
}
