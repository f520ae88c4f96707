using System.Globalization;
using Npgsql;
using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Postgres;
using OrleansStreams.Tests.Postgres;

namespace OrleansStreams.Tests.Storage.Postgres;

/// <summary>What PostgreSQL storage does beyond the promises that all implementations share.</summary>
public sealed class PostgresLogTests : IAsyncLifetime
{
    private static readonly LogId Id = new("topics/t/0");
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private PostgresServer _server = null!;
    private PostgresOptions _options = null!;

    public async Task InitializeAsync()
    {
        _server = await PostgresServer.SharedAsync;
        _options = _server.Options();
    }

    public Task DisposeAsync() => Task.CompletedTask;

    [Fact]
    public async Task Appends_of_many_logs_that_wait_are_written_in_one_transaction()
    {
        await using var storage = new OwnDatabaseStorage(_options with { WriterConnections = 1 });
        var logs = await OpenAsync(storage, 20);
        await BlockedAsync(logs[0].Id, async () =>
        {
            var first = logs[0].AppendAsync(TestBatches.Of("first")).AsTask();
            await WaitingForLockAsync();
            var rest = logs.Select(log => log.AppendAsync(TestBatches.Of("x", 2), TestBatches.Of("y")).AsTask()).ToList();
            return Task.WhenAll([first, .. rest]);
        });
        (await ScalarAsync("SELECT count(DISTINCT xmin::text) FROM batches")).ShouldBe(2, "one round for the first, one for all that waited");
        (await ScalarAsync("SELECT count(*) FROM batches")).ShouldBe(41);
    }

    [Fact]
    public async Task A_fenced_log_in_a_round_is_refused_and_the_others_of_the_round_are_written()
    {
        await using var storage = new OwnDatabaseStorage(_options with { WriterConnections = 1 });
        await using var other = new OwnDatabaseStorage(_options);
        var logs = await OpenAsync(storage, 5);
        await using var newer = await other.OpenAsync(logs[2].Id, new LogOptions());
        await newer.AppendAsync(TestBatches.Of("newer"));
        await BlockedAsync(logs[0].Id, async () =>
        {
            var first = logs[0].AppendAsync(TestBatches.Of("first")).AsTask();
            await WaitingForLockAsync();
            var stale = logs[2].AppendAsync(TestBatches.Of("stale")).AsTask();
            var behind = logs[2].AppendAsync(TestBatches.Of("behind")).AsTask();
            var rest = new[] { 1, 3, 4 }.Select(i => logs[i].AppendAsync(TestBatches.Of("x")).AsTask()).ToList();
            return CheckAsync();

            async Task CheckAsync()
            {
                await Task.WhenAll([first, .. rest]);
                foreach (var append in new[] { stale, behind })
                {
                    var refused = await Should.ThrowAsync<StreamsException>(() => append);
                    (refused.Code, refused.Outcome).ShouldBe((StreamsErrorCode.FencedLeaderEpoch, WriteOutcome.NotWritten));
                }
            }
        });
        (await ScalarAsync("SELECT count(DISTINCT xmin::text) FROM batches WHERE leader_epoch = 1")).ShouldBe(2);
        (await ScalarAsync("SELECT count(*) FROM batches")).ShouldBe(5);
        (await Should.ThrowAsync<StreamsException>(async () => await logs[2].ReadAsync(0, 100))).Code.ShouldBe(StreamsErrorCode.FencedLeaderEpoch);
    }

    [Fact]
    public async Task A_log_that_the_server_refuses_does_not_take_the_others_of_its_round_along()
    {
        await using var storage = new OwnDatabaseStorage(_options with { WriterConnections = 1 });
        var logs = await OpenAsync(storage, 4);
        await OnInsertAsync("IF NEW.log_id = (SELECT id FROM logs WHERE name = 'many/2') THEN RAISE EXCEPTION 'not this one'; END IF");
        await BlockedAsync(logs[0].Id, async () =>
        {
            var first = logs[0].AppendAsync(TestBatches.Of("first")).AsTask();
            await WaitingForLockAsync();
            var appends = logs.Select(log => log.AppendAsync(TestBatches.Of("x")).AsTask()).ToList();
            return CheckAsync();

            async Task CheckAsync()
            {
                await Task.WhenAll(first, appends[0], appends[1], appends[3]);
                var refused = await Should.ThrowAsync<StreamsException>(() => appends[2]);
                (refused.Code, refused.Outcome).ShouldBe((StreamsErrorCode.StorageError, WriteOutcome.NotWritten));
                refused.Message.ShouldContain("not this one");
            }
        });
    }

    [Fact]
    public async Task A_server_without_room_refuses_with_disk_full_and_the_log_goes_on_once_there_is_some()
    {
        await using var storage = new OwnDatabaseStorage(_options with { WriterConnections = 1 });
        await using var log = await storage.OpenAsync(Id, new LogOptions { SegmentBytes = 1000 });
        await log.AppendAsync(TestBatches.Of("a"));
        await _server.ExecuteAsync($"CREATE TABLE {_options.Schema}.full_now (); ");
        await OnInsertAsync("IF to_regclass('full_now') IS NOT NULL THEN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END IF");
        var appends = Enumerable.Range(0, 5).Select(_ => log.AppendAsync(TestBatches.Of("refused", 3, valueBytes: 500)).AsTask()).ToList();
        foreach (var append in appends)
        {
            var refused = await Should.ThrowAsync<StreamsException>(() => append);
            (refused.Code, refused.Outcome).ShouldBe((StreamsErrorCode.DiskFull, WriteOutcome.NotWritten));
        }

        (log.NextOffset, log.DurableEndOffset).ShouldBe((1, 1));
        await _server.ExecuteAsync($"DROP TABLE {_options.Schema}.full_now");
        var batch = TestBatches.Of("b", 2);
        await log.AppendAsync(batch);
        (await log.ReadAllAsync())[1].ShouldBe(TestBatches.Stamped(batch, 1, 1));
        await log.DisposeAsync();
        await using var again = await storage.OpenAsync(Id, new LogOptions());
        (again.DurableEndOffset, (await again.ReadAllAsync()).Count).ShouldBe((3, 2));
    }

    [Fact]
    public async Task Two_openers_that_append_at_the_same_time_never_leave_a_row_of_a_stale_epoch_behind_what_the_newer_one_has_read()
    {
        for (var seed = 1; seed <= 6; seed++)
        {
            await TwoOpenersAsync(seed);
        }
    }

    [Fact]
    public async Task A_long_transaction_and_a_long_reader_hold_up_nothing()
    {
        await using var storage = new OwnDatabaseStorage(_options with { DeleteRowsMax = 3 });
        var log = await storage.OpenAsync(Id, new LogOptions { SegmentBytes = 3000 });
        for (var i = 0; i < 20; i++)
        {
            await log.AppendAsync(TestBatches.Of($"n{i}", 2, valueBytes: 200));
        }

        await _server.ExecuteAsync($"CREATE TABLE {_options.Schema}.theirs (id int); INSERT INTO {_options.Schema}.theirs VALUES (1)");
        await using var idle = await _server.ConnectAsync();
        await using var idling = await idle.BeginTransactionAsync(System.Data.IsolationLevel.RepeatableRead);
        await ExecuteAsync(idle, $"UPDATE {_options.Schema}.theirs SET id = 2; SELECT count(*) FROM {_options.Schema}.batches");
        await using var reader = await _server.ConnectAsync();
        await using var reading = await reader.BeginTransactionAsync();
        await ExecuteAsync(reader, $"DECLARE slow CURSOR FOR SELECT * FROM {_options.Schema}.batches; FETCH 1 FROM slow; LOCK TABLE {_options.Schema}.logs IN ACCESS SHARE MODE");

        await WorkAsync().WaitAsync(Patience);

        async Task WorkAsync()
        {
            for (var i = 20; i < 40; i++)
            {
                await log.AppendAsync(TestBatches.Of($"n{i}", 2, valueBytes: 200));
            }

            await log.WriteCheckpointAsync(new byte[10], 40);
            var all = await log.ReadAllAsync();
            var segment = log.Segments[1];
            await using (var rewrite = await log.BeginRewriteAsync(segment.BaseOffset, segment.EndOffset))
            {
                await rewrite.AppendAsync(all.Where(batch => RecordBatchHeader.Read(batch).BaseOffset is var at && at >= segment.BaseOffset && at < segment.EndOffset).SelectMany(batch => batch).ToArray());
                (await rewrite.CommitAsync()).ShouldBeTrue();
            }

            await log.TruncatePrefixAsync(50);
            await storage.Inner.Janitor.IdleAsync();
            await log.DisposeAsync();
            log = await storage.OpenAsync(Id, new LogOptions());
            (await log.ReadAllAsync()).ShouldBe(all.Where(batch => RecordBatchHeader.Read(batch).NextOffset > 50));
            await storage.DeleteAsync(Id);
            await storage.Inner.Janitor.IdleAsync();
            (await ScalarAsync("SELECT count(*) FROM batches")).ShouldBe(0);
        }
    }

    [Theory]
    [InlineData("on", FlushMode.Always, 1000, "on")]
    [InlineData("off", FlushMode.Always, 1000, "on")]
    [InlineData("local", FlushMode.Always, 1000, "on")]
    [InlineData("remote_apply", FlushMode.Always, 1000, "remote_apply")]
    [InlineData("on", FlushMode.OperatingSystem, 1000, "off")]
    [InlineData("on", FlushMode.Interval, 1000, "off")]
    [InlineData("on", FlushMode.Interval, 500, "on")]
    public async Task A_commit_waits_for_the_disk_as_the_flush_mode_says(string serverDefault, FlushMode flush, int intervalMs, string expected)
    {
        await using var storage = new OwnDatabaseStorage(_options with { ConnectionString = $"{_options.ConnectionString};Options=-c synchronous_commit={serverDefault}" });
        await using var log = await storage.OpenAsync(Id, new LogOptions { Flush = flush, FlushInterval = TimeSpan.FromMilliseconds(intervalMs) });
        await _server.ExecuteAsync($"CREATE TABLE {_options.Schema}.seen (setting text)");
        await OnInsertAsync("INSERT INTO seen VALUES (current_setting('synchronous_commit'))");
        await log.AppendAsync(TestBatches.Of("a"));
        (await _server.ExecuteAsync($"SELECT string_agg(setting, ' ') FROM {_options.Schema}.seen")).ShouldBe(expected);
        await using var epoch = new NpgsqlCommand("SELECT current_setting('synchronous_commit')");
        (await storage.Database.RunAsync(async connection =>
        {
            await using var command = new NpgsqlCommand("SELECT current_setting('synchronous_commit')", connection);
            return (string)(await command.ExecuteScalarAsync())!;
        })).ShouldBe(serverDefault == "remote_apply" ? "remote_apply" : "on", "epochs, starts and checkpoints are durable in every mode");
    }

    [Fact]
    public async Task A_read_from_the_table_is_bounded_by_bytes_and_goes_on_where_it_ended()
    {
        await using var storage = new OwnDatabaseStorage(_options);
        var sizes = new[] { 10, 3000, 50, 100_000, 20, 20, 20, 5000 };
        await using (var log = await storage.OpenAsync(Id, new LogOptions()))
        {
            for (var i = 0; i < 200; i++)
            {
                await log.AppendAsync(TestBatches.Of($"n{i}", 1 + (i % 3), valueBytes: sizes[i % sizes.Length]));
            }
        }

        await using var again = await storage.OpenAsync(Id, new LogOptions());
        var all = await again.ReadAllAsync(maxBytes: int.MaxValue);
        all.Count.ShouldBe(200);
        foreach (var maxBytes in new[] { 1, 2000, 150_000 })
        {
            for (var offset = 0L; offset < again.DurableEndOffset;)
            {
                var read = await again.ReadAsync(offset, maxBytes);
                (TestBatches.Split(read.Batches).Count == 1 || read.Batches.Length <= maxBytes).ShouldBeTrue();
                offset = read.NextOffset;
            }

            (await again.ReadAllAsync(maxBytes: maxBytes)).ShouldBe(all);
        }
    }

    [Fact]
    public async Task A_damaged_row_is_reported_as_corruption_and_never_served_and_a_missing_one_likewise()
    {
        await using var storage = new OwnDatabaseStorage(_options);
        await using (var log = await storage.OpenAsync(Id, new LogOptions()))
        {
            for (var i = 0; i < 10; i++)
            {
                await log.AppendAsync(TestBatches.Of($"n{i}", 1));
            }
        }

        await _server.ExecuteAsync($"UPDATE {_options.Schema}.batches SET data = set_byte(data, 65, get_byte(data, 65) # 1) WHERE base_offset = 4");
        await using var again = await storage.OpenAsync(Id, new LogOptions());
        (await Should.ThrowAsync<StreamsException>(async () => await again.ReadAsync(4, 100))).Code.ShouldBe(StreamsErrorCode.CorruptLog);
        (await Should.ThrowAsync<StreamsException>(async () => await again.ReadAsync(2, 10_000))).Code.ShouldBe(StreamsErrorCode.CorruptLog);
        (await again.ReadAsync(3, 1)).NextOffset.ShouldBe(4);
        await _server.ExecuteAsync($"DELETE FROM {_options.Schema}.batches WHERE base_offset = 4");
        (await Should.ThrowAsync<StreamsException>(async () => await again.ReadAsync(4, 100))).Code.ShouldBe(StreamsErrorCode.CorruptLog);
    }

    [Fact]
    public async Task Rows_that_a_crash_left_behind_are_deleted_by_the_next_opening_or_start()
    {
        await using (var storage = new OwnDatabaseStorage(_options))
        {
            await using var log = await storage.OpenAsync(Id, new LogOptions { SegmentBytes = 500 });
            for (var i = 0; i < 30; i++)
            {
                await log.AppendAsync(TestBatches.Of($"n{i}", 1));
            }

            await using var gone = await storage.OpenAsync(new LogId("gone"), new LogOptions());
            await gone.AppendAsync(TestBatches.Of("gone"));
            await using var rewrite = await log.BeginRewriteAsync(0, log.Segments[0].EndOffset);
            await rewrite.AppendAsync((await log.ReadAsync(0, 1)).Batches);

            // As a crash between the two steps of a truncation, of a deletion, and in the middle of a rewrite leaves it.
            await _server.ExecuteAsync(
                $"""
                UPDATE {_options.Schema}.logs SET start_offset = 20 WHERE name = '{Id.Path}';
                UPDATE {_options.Schema}.logs SET name = NULL, leader_epoch = leader_epoch + 1 WHERE name = 'gone';
                CREATE TABLE {_options.Schema}.crashed AS SELECT * FROM {_options.Schema}.logs WHERE rewrite_of IS NOT NULL;
                CREATE TABLE {_options.Schema}.crashed_rows AS SELECT * FROM {_options.Schema}.batches WHERE log_id IN (SELECT id FROM {_options.Schema}.crashed);
                """);
        }

        await _server.ExecuteAsync($"INSERT INTO {_options.Schema}.logs OVERRIDING SYSTEM VALUE SELECT * FROM {_options.Schema}.crashed ON CONFLICT DO NOTHING; INSERT INTO {_options.Schema}.batches SELECT * FROM {_options.Schema}.crashed_rows ON CONFLICT DO NOTHING");
        await using var next = new OwnDatabaseStorage(_options);
        await using var again = await next.OpenAsync(Id, new LogOptions { SegmentBytes = 500 });
        again.StartOffset.ShouldBe(20);
        await next.Inner.Janitor.IdleAsync();
        (await ScalarAsync("SELECT count(*) FROM logs")).ShouldBe(1);
        (await ScalarAsync("SELECT min(end_offset) FROM segments")).ShouldBeGreaterThan(20);
        (await ScalarAsync("SELECT count(*) FROM batches")).ShouldBe(again.DurableEndOffset - again.Segments[0].BaseOffset);
        (await again.ReadAllAsync()).Count.ShouldBe(10);
    }

    private async Task TwoOpenersAsync(int seed)
    {
        var random = new Random(seed);
        var id = new LogId($"two/{seed}");
        var options = new LogOptions { SegmentBytes = 2000 };
        OwnDatabaseStorage[] storages = [new(_options with { WriterConnections = 1 }), new(_options with { WriterConnections = 1 })];
        var openings = new List<(int Epoch, long End)>();
        var acknowledged = new List<(long Offset, string Name)>();
        var isDone = false;
        async Task OpenerAsync(ILogStorage storage, int number, int steps)
        {
            var count = 0;
            for (var i = 0; i < steps; i++)
            {
                var log = await storage.OpenAsync(id, options);
                lock (openings)
                {
                    openings.Add((log.LeaderEpoch, log.DurableEndOffset));
                }

                // Until the other one has opened it, or some more at the end.
                var underWay = new Queue<(Task Append, long Offset, string Name)>();
                try
                {
                    for (var appends = 0; !Volatile.Read(ref isDone) || appends < 5; appends++)
                    {
                        var name = string.Create(CultureInfo.InvariantCulture, $"{number}-{count++}");
                        underWay.Enqueue((log.AppendAsync(TestBatches.Of(name)).AsTask(), log.NextOffset - 1, name));
                        if (underWay.Count == 4)
                        {
                            await OldestAsync();
                        }

                        if (appends > 10 + (seed * 3))
                        {
                            break;
                        }
                    }

                    while (underWay.Count > 0)
                    {
                        await OldestAsync();
                    }
                }
                catch (StreamsException exception) when (exception.Code == StreamsErrorCode.FencedLeaderEpoch)
                {
                    exception.Outcome.ShouldBe(WriteOutcome.NotWritten);
                }

                await log.DisposeAsync();
                foreach (var (append, offset, name) in underWay)
                {
                    if (append.IsCompletedSuccessfully)
                    {
                        Acknowledge(offset, name);
                    }
                }

                async Task OldestAsync()
                {
                    var (append, offset, name) = underWay.Dequeue();
                    await append;
                    Acknowledge(offset, name);
                }
            }
        }

        void Acknowledge(long offset, string name)
        {
            lock (acknowledged)
            {
                acknowledged.Add((offset, name));
            }
        }

        await Task.WhenAll(storages.Select((storage, number) => Task.Run(() => OpenerAsync(storage, number, 8 + random.Next(8))))).WaitAsync(TimeSpan.FromMinutes(1));
        Volatile.Write(ref isDone, true);
        await using (var log = await storages[0].OpenAsync(id, options))
        {
            var there = (await log.ReadAllAsync()).Select(batch => (Header: RecordBatchHeader.Read(batch), Name: NameOf(batch))).ToList();
            there.Select(entry => entry.Header.BaseOffset).ShouldBe(Enumerable.Range(0, there.Count).Select(offset => (long)offset), "dense");
            there.Zip(there.Skip(1)).ShouldAllBe(pair => pair.First.Header.LeaderEpoch <= pair.Second.Header.LeaderEpoch);
            acknowledged.ShouldAllBe(entry => there[(int)entry.Offset].Name == entry.Name, $"seed {seed}: acknowledged, but not there");
            acknowledged.Count.ShouldBe(there.Count, $"seed {seed}: every refusal said not written");
            foreach (var (epoch, end) in openings)
            {
                there.Where(entry => entry.Header.LeaderEpoch < epoch).ShouldAllBe(entry => entry.Header.BaseOffset < end, $"seed {seed}: epoch {epoch} began at {end}");
            }
        }

        foreach (var storage in storages)
        {
            await storage.DisposeAsync();
        }
    }

    private static string NameOf(byte[] batch)
    {
        var reader = new RecordBatchReader(batch);
        reader.TryRead(out var record).ShouldBeTrue();
        return System.Text.Encoding.UTF8.GetString(record.Key);
    }

    private static async Task<List<ILog>> OpenAsync(ILogStorage storage, int count)
    {
        var logs = new List<ILog>();
        for (var i = 0; i < count; i++)
        {
            logs.Add(await storage.OpenAsync(new LogId($"many/{i}"), new LogOptions()));
        }

        return logs;
    }

    /// <summary>Holds a log's row while <paramref name="act"/> queues things, then lets go and waits for what it returned.</summary>
    private async Task BlockedAsync(LogId id, Func<Task<Task>> act)
    {
        await using var blocker = await _server.ConnectAsync();
        await using var transaction = await blocker.BeginTransactionAsync();
        await ExecuteAsync(blocker, $"SELECT FROM {_options.Schema}.logs WHERE name = '{id.Path}' FOR UPDATE");
        var queued = await act();
        await transaction.RollbackAsync();
        await queued.WaitAsync(Patience);
    }

    /// <summary>Until a round of this schema waits for the row.</summary>
    private async Task WaitingForLockAsync()
    {
        using var patience = new CancellationTokenSource(Patience);
        while (await ScalarAsync($"SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND l.relation = '{_options.Schema}.logs'::regclass OR NOT l.granted AND l.locktype = 'transactionid' AND a.query LIKE '%FOR SHARE%'") == 0)
        {
            patience.Token.ThrowIfCancellationRequested();
        }
    }

    private Task OnInsertAsync(string statement) => _server.ExecuteAsync(
        $"""
        SET search_path TO {_options.Schema};
        CREATE FUNCTION on_insert() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {statement}; RETURN NEW; END $$;
        CREATE TRIGGER on_insert BEFORE INSERT ON batches FOR EACH ROW EXECUTE FUNCTION on_insert();
        """);

    private async Task<long> ScalarAsync(string sql)
    {
        await using var connection = await _server.ConnectAsync();
        await ExecuteAsync(connection, $"SET search_path TO {_options.Schema}");
        await using var command = new NpgsqlCommand(sql, connection);
        return Convert.ToInt64(await command.ExecuteScalarAsync(), CultureInfo.InvariantCulture);
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }
}
