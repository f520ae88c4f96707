using OrleansStreams.Errors;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Postgres;
using OrleansStreams.Tests.Postgres;

namespace OrleansStreams.Tests.Storage.Postgres;

/// <summary>The start: versions of the schema, mistakes in the connection string, one process per schema.</summary>
public sealed class PostgresSchemaTests : IAsyncLifetime
{
    private PostgresServer _server = null!;
    private PostgresOptions _options = null!;

    public async Task InitializeAsync()
    {
        _server = await PostgresServer.SharedAsync;
        _options = _server.Options();
    }

    public Task DisposeAsync() => Task.CompletedTask;

    [Fact]
    public async Task Of_many_that_start_at_once_one_migrates_and_all_find_the_schema()
    {
        var databases = Enumerable.Range(0, 6).Select(_ => _server.Database(_options)).ToList();
        await Task.WhenAll(databases.Select(database => database.StartAsync()));
        foreach (var database in databases)
        {
            await database.DisposeAsync();
        }

        var versions = SchemaMigration.All.Select(migration => migration.Version).ToList();
        versions.ShouldBe(Enumerable.Range(1, versions.Count), "numbered without gaps");
        (await _server.ExecuteAsync($"SELECT string_agg(version::text, ' ' ORDER BY version) FROM {_options.Schema}.schema_version")).ShouldBe(string.Join(' ', versions));
    }

    [Fact]
    public async Task A_newer_schema_is_refused_and_not_touched()
    {
        await using (var first = _server.Database(_options))
        {
            await first.StartAsync();
        }

        await _server.ExecuteAsync($"INSERT INTO {_options.Schema}.schema_version VALUES (999, 'of tomorrow')");
        await RefusedAsync(StreamsErrorCode.IncompatibleState, "has version 999, made by a newer build", _options);
    }

    [Fact]
    public async Task An_older_schema_is_migrated_only_when_that_is_allowed_and_keeps_its_data()
    {
        await RefusedAsync(StreamsErrorCode.IncompatibleState, "is missing and this build needs version", _options with { Migrate = false });
        await using (var storage = new OwnDatabaseStorage(_options))
        {
            await using var log = await storage.OpenAsync(new LogId("kept"), new LogOptions());
            await log.AppendAsync(TestBatches.Of("a"));
        }

        await using var again = new OwnDatabaseStorage(_options with { Migrate = false });
        await using var kept = await again.OpenAsync(new LogId("kept"), new LogOptions());
        kept.DurableEndOffset.ShouldBe(1);
    }

    [Fact]
    public async Task Every_earlier_version_is_brought_up_to_date_with_its_logs_and_states()
    {
        foreach (var version in SchemaMigration.All.SkipLast(1).Select(migration => migration.Version))
        {
            var options = _server.Options();
            await MigrateToAsync(version, options);
            await _server.ExecuteAsync(
                $"INSERT INTO {options.Schema}.logs (name, leader_epoch) VALUES ('of-before', 7)" +
                (version >= 2 ? $"; INSERT INTO {options.Schema}.states VALUES ('\\x01', 'a/b/c', 3, gen_random_uuid(), '{{}}')" : string.Empty));
            await RefusedAsync(StreamsErrorCode.IncompatibleState, $"has version {version} and this build needs version", options with { Migrate = false });

            await using var storage = new OwnDatabaseStorage(options);
            await using var log = await storage.OpenAsync(new LogId("of-before"), new LogOptions());
            log.LeaderEpoch.ShouldBe(8, $"from version {version}");
            (await _server.ExecuteAsync($"SELECT count(*) FROM {options.Schema}.states")).ShouldBe(version >= 2 ? 1L : 0L);
            (await _server.ExecuteAsync($"SELECT count(*) FROM {options.Schema}.schema_version")).ShouldBe((long)SchemaMigration.All.Count);
        }
    }

    [Fact]
    public async Task A_migration_that_fails_leaves_nothing_behind()
    {
        await using var connection = await ConnectAsync(_options);
        var migrator = new SchemaMigrator(_options.Schema, true, [.. SchemaMigration.All, new SchemaMigration(900, "900_bad", "CREATE TABLE half (id int); SELECT 1 / 0")]);
        await Should.ThrowAsync<Npgsql.PostgresException>(() => migrator.RunAsync(connection, CancellationToken.None));
        (await _server.ExecuteAsync($"SELECT to_regnamespace('{_options.Schema}') IS NULL")).ShouldBe(true);
    }

    [Fact]
    public async Task Mistakes_in_the_connection_string_are_told_in_one_sentence()
    {
        await _server.ExecuteAsync("DO $$ BEGIN CREATE ROLE locked_out LOGIN PASSWORD 'right'; EXCEPTION WHEN duplicate_object THEN END $$");
        var right = _server.ConnectionString;
        await RefusedAsync(StreamsErrorCode.StorageError, "cannot be reached", "Host=127.0.0.1;Port=1;Username=postgres;Database=postgres");
        await RefusedAsync(StreamsErrorCode.StorageError, "cannot be reached", "Host=/nonexistent;Username=postgres;Database=postgres");
        await RefusedAsync(StreamsErrorCode.InvalidConfig, "database \"nowhere\" does not exist; create it", right.Replace("Database=postgres", "Database=nowhere"));
        await RefusedAsync(StreamsErrorCode.InvalidConfig, "role \"nobody_here\" does not exist; correct Username", right.Replace("Username=postgres", "Username=nobody_here"));
        await RefusedAsync(StreamsErrorCode.InvalidConfig, "password authentication failed for user \"locked_out\"; correct Username and Password", right.Replace("Username=postgres", "Username=locked_out;Password=wrong"));
        await RefusedAsync(StreamsErrorCode.InvalidConfig, "let the user 'locked_out' create", right.Replace("Username=postgres", "Username=locked_out;Password=right"));
        await RefusedAsync(StreamsErrorCode.InvalidConfig, "cannot be used", "nonsense");
        await RefusedAsync(StreamsErrorCode.InvalidConfig, "names no Host", "Username=postgres");
        await RefusedAsync(StreamsErrorCode.InvalidConfig, "'Not a name' cannot be the schema", _options with { Schema = "Not a name" });
    }

    [Fact]
    public async Task A_server_that_is_too_old_is_refused()
    {
        await using var connection = await _server.ConnectAsync();
        var refused = await Should.ThrowAsync<StreamsException>(() => ServerFacts.ReadAsync(connection, 990_000, CancellationToken.None));
        (refused.Code, refused.Message).ShouldSatisfyAllConditions(
            error => error.Code.ShouldBe(StreamsErrorCode.InvalidConfig), error => error.Message.ShouldContain("99 or newer is needed"));
    }

    [Fact]
    public async Task A_schema_belongs_to_one_exclusive_process_at_a_time()
    {
        var exclusive = _options with { IsExclusive = true };
        await using (var first = _server.Database(exclusive))
        {
            await first.StartAsync();
            await RefusedAsync(StreamsErrorCode.DataFolderInUse, $"in use by 'orleans-streams, process {Environment.ProcessId} on", exclusive);
            await using var another = _server.Database(_server.Options() with { IsExclusive = true });
            await another.StartAsync();
        }

        await using var next = _server.Database(exclusive);
        await next.StartAsync();
    }

    [Fact]
    public async Task An_exclusive_process_whose_session_ends_takes_the_schema_again_unless_another_was_faster()
    {
        var mine = _options with { IsExclusive = true, ConnectionString = _options.ConnectionString + $";Application Name={_options.Schema}" };
        await using var storage = new OwnDatabaseStorage(mine);
        await using var log = await storage.OpenAsync(new LogId("a"), new LogOptions());
        await using var other = await _server.ConnectAsync();

        // Waits in line, so that it is the faster one.
        await using var take = new Npgsql.NpgsqlCommand($"SELECT pg_advisory_lock(hashtextextended('orleans-streams/owner/{mine.Schema}', 0))", other);
        var taking = take.ExecuteNonQueryAsync();
        while (!(bool)(await _server.ExecuteAsync("SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))!)
        {
        }

        await _server.ExecuteAsync($"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '{mine.Schema}'");
        await taking;
        await UntilAsync(log, code => code == StreamsErrorCode.DataFolderInUse);
        (await Should.ThrowAsync<StreamsException>(async () => await storage.OpenAsync(new LogId("b"), new LogOptions()))).Code.ShouldBe(StreamsErrorCode.DataFolderInUse);
        await other.CloseAsync();
        await UntilAsync(log, code => code is null);
        await log.AppendAsync(TestBatches.Of("mine again"));
    }

    private static async Task UntilAsync(ILog log, Func<StreamsErrorCode?, bool> holds)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (true)
        {
            StreamsErrorCode? code = null;
            try
            {
                await log.WriteCheckpointAsync(new byte[1], 0, patience.Token);
            }
            catch (StreamsException exception)
            {
                code = exception.Code;
            }

            if (holds(code))
            {
                return;
            }

            patience.Token.ThrowIfCancellationRequested();
        }
    }

    private async Task<Npgsql.NpgsqlConnection> ConnectAsync(PostgresOptions options)
    {
        var connection = await _server.ConnectAsync();
        await using var path = new Npgsql.NpgsqlCommand($"SET search_path TO {options.Schema}", connection);
        await path.ExecuteNonQueryAsync();
        return connection;
    }

    private async Task MigrateToAsync(int version, PostgresOptions options)
    {
        await using var connection = await ConnectAsync(options);
        await new SchemaMigrator(options.Schema, true, [.. SchemaMigration.All.Take(version)]).RunAsync(connection, CancellationToken.None);
    }

    private Task RefusedAsync(StreamsErrorCode code, string message, string connectionString) => RefusedAsync(code, message, _options with { ConnectionString = connectionString });

    private async Task RefusedAsync(StreamsErrorCode code, string message, PostgresOptions options)
    {
        var refused = await Should.ThrowAsync<StreamsException>(async () =>
        {
            await using var database = _server.Database(options);
            await database.StartAsync();
        });
        refused.Message.ShouldContain(message);
        refused.Message.ShouldNotContain("\n");
        refused.Code.ShouldBe(code);
    }
}
