using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Postgres;
using OrleansStreams.Tests.Postgres;

namespace OrleansStreams.Tests.Storage.Postgres;

/// <summary>Connections that are lost around a commit: the storage asks what became of it, and what it answers holds.</summary>
public sealed class PostgresLossTests : IAsyncLifetime
{
    private static readonly LogId Id = new("topics/t/0");

    private PostgresServer _server = null!;
    private PostgresOptions _options = null!;
    private LossyProxy _proxy = null!;
    private OwnDatabaseStorage _storage = null!;

    public async Task InitializeAsync()
    {
        _server = await PostgresServer.SharedAsync;
        _options = _server.Options();
        _proxy = new LossyProxy(_server.ConnectionString);
        _storage = Storage();
    }

    public async Task DisposeAsync()
    {
        await _storage.DisposeAsync();
        await _proxy.DisposeAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_append_whose_connection_is_lost_is_resolved_and_acknowledged_and_stands_in_the_log_once(bool afterTheCommit)
    {
        await using var log = await _storage.OpenAsync(Id, new LogOptions());
        await log.AppendAsync(TestBatches.Of("a"));
        _proxy.LoseNext(afterTheCommit ? Loss.Answer : Loss.Request);
        var lost = log.AppendAsync(TestBatches.Of("b")).AsTask();
        var behind = log.AppendAsync(TestBatches.Of("c")).AsTask();
        await Task.WhenAll(lost, behind).WaitAsync(TimeSpan.FromSeconds(30));
        await log.AppendAsync(TestBatches.Of("d"));
        (await NamesAsync()).ShouldBe(["a", "b", "c", "d"]);
        (await CountAsync("inquiry", "logs")).ShouldBe(1, "it asked once");
    }

    [Fact]
    public async Task A_request_that_arrives_after_the_answer_writes_nothing()
    {
        await using var log = await _storage.OpenAsync(Id, new LogOptions());
        await log.AppendAsync(TestBatches.Of("a"));
        _proxy.LoseNext(Loss.Late);
        await log.AppendAsync(TestBatches.Of("b")).AsTask().WaitAsync(TimeSpan.FromSeconds(30));

        var answer = await _proxy.DeliverAsync();

        answer.ShouldContain("INSERT 0 0", customMessage: "the inquiry turned it away, not the primary key");
        await log.AppendAsync(TestBatches.Of("c"));
        (await NamesAsync()).ShouldBe(["a", "b", "c"]);
    }

    [Fact]
    public async Task A_request_of_a_stale_leader_that_arrives_after_the_next_one_has_opened_writes_nothing()
    {
        var stale = await _storage.OpenAsync(Id, new LogOptions());
        await stale.AppendAsync(TestBatches.Of("a"));
        _proxy.LoseNext(Loss.LateAndAllElse);
        var late = stale.AppendAsync(TestBatches.Of("b")).AsTask();

        // The request is on its way, and its sender cannot ask what became of it.
        await _proxy.DownAsync;
        await using var next = new OwnDatabaseStorage(_options);
        await using var log = await next.OpenAsync(Id, new LogOptions());
        log.DurableEndOffset.ShouldBe(1);

        (await _proxy.DeliverAsync()).ShouldContain("INSERT 0 0");

        // Nothing stands at that offset yet: only the epoch could have turned it away.
        (await NamesAsync()).ShouldBe(["a"]);
        await log.AppendAsync(TestBatches.Of("mine"));
        _proxy.IsDown = false;
        var refused = await Should.ThrowAsync<StreamsException>(() => late.WaitAsync(TimeSpan.FromSeconds(30)));
        (refused.Code, refused.Outcome).ShouldBe((StreamsErrorCode.FencedLeaderEpoch, WriteOutcome.NotWritten));
        (await NamesAsync()).ShouldBe(["a", "mine"]);
        await stale.DisposeAsync();
    }

    [Fact]
    public async Task A_stale_leader_whose_answer_was_lost_hears_that_its_append_was_written()
    {
        var stale = await _storage.OpenAsync(Id, new LogOptions());
        await stale.AppendAsync(TestBatches.Of("a"));
        _proxy.LoseNext(Loss.AnswerAndAllElse);
        var append = stale.AppendAsync(TestBatches.Of("b")).AsTask();
        await _proxy.DownAsync;
        await using var next = new OwnDatabaseStorage(_options);
        await using var log = await next.OpenAsync(Id, new LogOptions());
        await log.AppendAsync(TestBatches.Of("c"));
        _proxy.IsDown = false;

        await append.WaitAsync(TimeSpan.FromSeconds(30));

        (await NamesAsync()).ShouldBe(["a", "b", "c"]);
        await stale.DisposeAsync();
    }

    [Fact]
    public async Task A_server_that_stays_away_past_the_bound_leaves_the_outcome_unknown_and_the_next_opening_finds_out()
    {
        await using var storage = Storage(TimeSpan.FromMilliseconds(300));
        var log = await storage.OpenAsync(Id, new LogOptions());
        await log.AppendAsync(TestBatches.Of("a"));
        _proxy.LoseNext(Loss.AnswerAndAllElse);
        var append = log.AppendAsync(TestBatches.Of("b")).AsTask();
        await _proxy.DownAsync;
        var behind = log.AppendAsync(TestBatches.Of("c")).AsTask();

        var unknown = await Should.ThrowAsync<StreamsException>(() => append);

        (unknown.Code, unknown.Outcome).ShouldBe((StreamsErrorCode.StorageError, WriteOutcome.Unknown));
        ((await Should.ThrowAsync<StreamsException>(() => behind)).Outcome).ShouldBe(WriteOutcome.NotWritten, "it was never sent");
        var later = await Should.ThrowAsync<StreamsException>(async () => await log.AppendAsync(TestBatches.Of("d")));
        (later.Code, later.Outcome).ShouldBe((StreamsErrorCode.StorageError, WriteOutcome.NotWritten));
        _proxy.IsDown = false;
        await log.DisposeAsync();
        await using var again = await storage.OpenAsync(Id, new LogOptions());
        again.DurableEndOffset.ShouldBe(2);
        await again.AppendAsync(TestBatches.Of("e"));
        (await NamesAsync()).ShouldBe(["a", "b", "e"]);
    }

    [Fact]
    public async Task A_server_that_cannot_be_reached_at_all_means_not_written()
    {
        await using var storage = Storage(TimeSpan.FromMilliseconds(300));
        await using var log = await storage.OpenAsync(Id, new LogOptions());
        _proxy.IsDown = true;
        var append = await Should.ThrowAsync<StreamsException>(async () => await log.AppendAsync(TestBatches.Of("a")));
        (append.Code, append.Outcome).ShouldBe((StreamsErrorCode.StorageError, WriteOutcome.NotWritten));
        (await Should.ThrowAsync<StreamsException>(async () => await storage.OpenAsync(new LogId("other"), new LogOptions()))).Code.ShouldBe(StreamsErrorCode.StorageError);
        _proxy.IsDown = false;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Checkpoints_truncations_and_rewrites_survive_the_loss_of_their_connection(bool afterTheCommit)
    {
        var loss = afterTheCommit ? Loss.Answer : Loss.Request;
        await using var log = await _storage.OpenAsync(Id, new LogOptions());
        await log.AppendAsync(TestBatches.Of("a", 5), TestBatches.Of("b", 5));
        await log.ReadAsync(0, 100);
        _proxy.LoseNext(loss);
        await log.WriteCheckpointAsync(new byte[] { 7 }, 3);
        _proxy.LoseNext(loss);
        await log.RollAsync();
        var old = await log.ReadAllAsync();
        await using (var rewrite = await log.BeginRewriteAsync(0, 10))
        {
            await rewrite.AppendAsync(old.SelectMany(batch => batch).ToArray());

            (await rewrite.CommitAsync()).ShouldBeTrue();
        }

        (await log.ReadAllAsync()).ShouldBe(old);
        _proxy.LoseNext(loss);
        await log.TruncatePrefixAsync(10);
        await log.DisposeAsync();
        await using var again = await _storage.OpenAsync(Id, new LogOptions());
        (again.StartOffset, again.NextOffset, again.SizeBytes, again.Checkpoint!.Offset).ShouldBe((10, 10, 0, 3));
        await _storage.Inner.Janitor.IdleAsync();
        (await CountAsync("1", "batches")).ShouldBe(0);
        (await CountAsync("1", "segments")).ShouldBe(0);
        (await CountAsync("1", "logs")).ShouldBe(1, "nothing is left of the rewrite");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_rewrite_whose_commit_loses_its_connection_at_any_request_replaces_all_once(bool afterTheCommit)
    {
        await using var log = await _storage.OpenAsync(Id, new LogOptions());
        await log.AppendAsync(TestBatches.Of("a", 5), TestBatches.Of("b", 5));
        await log.RollAsync();
        var old = await log.ReadAllAsync();
        for (var request = 0; request < 9; request++)
        {
            await using var rewrite = await log.BeginRewriteAsync(0, 10);
            await rewrite.AppendAsync(old.SelectMany(batch => batch).ToArray());
            _proxy.LoseNext(afterTheCommit ? Loss.Answer : Loss.Request, after: request);
            (await rewrite.CommitAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(30))).ShouldBeTrue();
            _proxy.LoseNext(Loss.None);
            (await NamesAsync()).ShouldBe(["a", "b"], $"the loss of request {request}");
            log.Segments.Count.ShouldBe(2);
        }

        await _storage.Inner.Janitor.IdleAsync();
        (await CountAsync("1", "logs")).ShouldBe(1);
        (await CountAsync("1", "segments")).ShouldBe(1);
    }

    private OwnDatabaseStorage Storage(TimeSpan? unavailableMax = null) =>
        new(_options with { ConnectionString = _proxy.ConnectionString, WriterConnections = 1, UnavailableMax = unavailableMax ?? TimeSpan.FromSeconds(20) });

    private async Task<long> CountAsync(string what, string table) =>
        Convert.ToInt64(await _server.ExecuteAsync($"SELECT coalesce(sum({what}), 0)::bigint FROM {_options.Schema}.{table}"));

    private async Task<List<string>> NamesAsync()
    {
        await using var connection = await _server.ConnectAsync();
        await using var command = new Npgsql.NpgsqlCommand($"SELECT data FROM {_options.Schema}.batches ORDER BY base_offset", connection);
        await using var rows = await command.ExecuteReaderAsync();
        var names = new List<string>();
        while (await rows.ReadAsync())
        {
            var records = new RecordBatchReader(rows.GetFieldValue<byte[]>(0));
            records.TryRead(out var record).ShouldBeTrue();
            names.Add(System.Text.Encoding.UTF8.GetString(record.Key));
        }

        return names;
    }
}
