using System.Collections.Concurrent;
using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Postgres;
using OrleansStreams.Tests.Postgres;
using Xunit.Abstractions;

namespace OrleansStreams.Tests.Storage.Postgres;

/// <summary>A server that dies, and connections that are ended, under the load of several logs.</summary>
public sealed class PostgresFaultTests(ITestOutputHelper output)
{
    private const int Logs = 6;

    [Fact]
    public async Task Nothing_acknowledged_is_lost_and_nothing_stands_twice_when_the_server_is_killed_and_started_again()
    {
        using var server = await PostgresServer.StartAsync();
        var options = server.Options() with { UnavailableMax = TimeSpan.FromMinutes(1), WriterConnections = 2 };
        await RunAsync(options, faults: 4, async () =>
        {
            await server.KillAsync();
            await server.RestartAsync();
        });
    }

    [Fact]
    public async Task Nothing_acknowledged_is_lost_and_nothing_stands_twice_when_connections_are_terminated()
    {
        var server = await PostgresServer.SharedAsync;
        var options = server.Options();
        options = options with { ConnectionString = options.ConnectionString + $";Application Name={options.Schema}", UnavailableMax = TimeSpan.FromMinutes(1), WriterConnections = 2 };
        await RunAsync(options, faults: 25, () => server.ExecuteAsync($"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '{options.Schema}'"));
    }

    private async Task RunAsync(PostgresOptions options, int faults, Func<Task> fault)
    {
        var load = new Load();
        await using (var storage = new OwnDatabaseStorage(options))
        {
            var clients = Enumerable.Range(0, Logs).Select(log => Task.Run(() => load.AppendAsync(storage, log))).ToList();
            for (var i = 0; i < faults; i++)
            {
                await load.ProgressAsync(40, clients);
                await fault();
            }

            await load.ProgressAsync(40, clients);
            load.End();
            await Task.WhenAll(clients).WaitAsync(TimeSpan.FromMinutes(2));
        }

        await using var after = new OwnDatabaseStorage(options);
        for (var number = 0; number < Logs; number++)
        {
            await using var log = await after.OpenAsync(Load.Id(number), new LogOptions());
            var there = (await log.ReadAllAsync()).Select(batch => (RecordBatchHeader.Read(batch).BaseOffset, Name(batch))).ToList();
            output.WriteLine($"log {number}: {there.Count} there, {load.Acknowledged[number].Count} acknowledged");

            // Every append was resolved by asking: none failed, so what is there is exactly what was acknowledged, in its order.
            there.ShouldBe(load.Acknowledged[number]);
            there.Select(entry => entry.Item2).ShouldBe(Enumerable.Range(0, there.Count).Select(i => $"{number}-{i}"));
        }
    }

    private static string Name(byte[] batch)
    {
        var reader = new RecordBatchReader(batch);
        reader.TryRead(out var record).ShouldBeTrue();
        return System.Text.Encoding.UTF8.GetString(record.Key);
    }

    /// <summary>Clients with several appends under way each, whose batches name their order.</summary>
    private sealed class Load
    {
        private const int UnderWay = 4;

        private int _count;
        private volatile bool _isEnding;
        private volatile TaskCompletionSource _progress = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _goal = int.MaxValue;

        public ConcurrentDictionary<int, List<(long Offset, string Name)>> Acknowledged { get; } = new();

        public static LogId Id(int number) => new($"load/{number}");

        public async Task AppendAsync(ILogStorage storage, int number)
        {
            var acknowledged = Acknowledged.GetOrAdd(number, []);
            await using var log = await storage.OpenAsync(Id(number), new LogOptions { SegmentBytes = 20_000 });
            var underWay = new Queue<(Task Append, long Offset, string Name)>();
            for (var i = 0; !_isEnding || underWay.Count > 0;)
            {
                while (!_isEnding && underWay.Count < UnderWay)
                {
                    var name = $"{number}-{i++}";
                    var offset = log.NextOffset;
                    underWay.Enqueue((log.AppendAsync(TestBatches.Of(name, 3, valueBytes: i % 10 == 0 ? 5000 : 100)).AsTask(), offset, name));
                }

                var oldest = underWay.Dequeue();
                await oldest.Append;
                acknowledged.Add((oldest.Offset, oldest.Name));
                if (Interlocked.Increment(ref _count) == Volatile.Read(ref _goal))
                {
                    _progress.TrySetResult();
                }
            }
        }

        public async Task ProgressAsync(int more, List<Task> clients)
        {
            _progress = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Volatile.Write(ref _goal, Volatile.Read(ref _count) + more);
            await await Task.WhenAny([_progress.Task, .. clients]).WaitAsync(TimeSpan.FromMinutes(2));
        }

        public void End() => _isEnding = true;
    }
}
