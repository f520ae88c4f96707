using System.Data.Common;
using System.Globalization;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace OrleansStreams.Storage.Postgres;

/// <summary>
/// A schema in a PostgreSQL database: its connections, its version, and whether it belongs to this process. Connects when it is started or first
/// used. Thread-safe; its work runs on the thread pool, never on a caller's scheduler.
/// </summary>
public sealed class PostgresDatabase : IAsyncDisposable
{
    private const int VersionMin = 130_000;

    // Read committed is what the proofs of this storage assume; keep-alives let the server notice a silo whose machine is gone, with its locks.
    private const string SessionOptions =
        @"-c default_transaction_isolation=read\ committed -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3";

    private readonly ILogger _logger;
    private readonly NpgsqlConnectionStringBuilder _connection;
    private readonly NpgsqlDataSource _writers;
    private readonly NpgsqlDataSource _readers;
    private readonly NpgsqlDataSource _sessions;
    private readonly SemaphoreSlim _readerTurns;
    private readonly SemaphoreSlim _starting = new(1, 1);
    private SchemaOwner? _owner;
    private ServerFacts? _facts;
    private volatile bool _isDisposed;

    /// <summary>Prepares connections; none is made yet.</summary>
    /// <exception cref="StreamsException">InvalidConfig: the connection string or the schema's name cannot be one.</exception>
    public PostgresDatabase(PostgresOptions options, TimeProvider timeProvider, ILogger<PostgresDatabase> logger)
    {
        ArgumentNullException.ThrowIfNull(options);
        Options = options;
        Time = timeProvider;
        _logger = logger;
        CheckSchema(options.Schema);
        _connection = Parse(options);
        _writers = Source(Math.Max(1, options.WriterConnections));
        _readers = Source(Math.Max(1, options.ReaderConnections));
        _sessions = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(_connection.ConnectionString) { Pooling = false, KeepAlive = 10, MaxAutoPrepare = 0 });
        _readerTurns = new SemaphoreSlim(Math.Max(1, options.ReaderConnections));
    }

    /// <summary>Where, for people: host, database and schema, no secrets.</summary>
    public string Place => $"{_connection.Host}/{_connection.Database}, schema {Options.Schema}";

    internal PostgresOptions Options { get; }

    internal TimeProvider Time { get; }

    internal ILogger Logger => _logger;

    /// <summary>
    /// Connects, checks the server's version, brings the schema to this build's version and takes it for this process when the options say so. Later
    /// calls do nothing.
    /// </summary>
    /// <exception cref="StreamsException">InvalidConfig (user, password, database, privileges, server too old), StorageError (server not reachable),
    /// IncompatibleState (schema newer, or older and not to be migrated), DataFolderInUse (another process has it).</exception>
    public async Task StartAsync(CancellationToken cancellationToken = default)
    {
        if (Volatile.Read(ref _facts) is null)
        {
            await Detached.RunAsync(() => ConnectAsync(cancellationToken));
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        if (_owner is not null)
        {
            await _owner.DisposeAsync();
        }

        await _writers.DisposeAsync();
        await _readers.DisposeAsync();
        await _sessions.DisposeAsync();
        _readerTurns.Dispose();
        _starting.Dispose();
    }

    /// <summary>Refuses work once another process has taken the schema.</summary>
    internal void CheckOwned()
    {
        if (_owner?.Lost is { } lost)
        {
            throw lost;
        }
    }

    /// <summary>The setting of synchronous_commit that keeps a log's promise.</summary>
    internal string SynchronousCommitFor(LogOptions options) => options.Flush switch
    {
        FlushMode.OperatingSystem => "off",

        // The WAL writer flushes an asynchronous commit within three of its rounds (PostgreSQL documentation, "Asynchronous Commit").
        FlushMode.Interval when _facts!.WalWriterDelay * 3 <= options.FlushInterval => "off",
        _ => _facts!.SynchronousCommit,
    };

    /// <summary>A connection for a round of writes; those in use are bounded by the writer.</summary>
    internal ValueTask<NpgsqlConnection> OpenWriterAsync() => _writers.OpenConnectionAsync();

    /// <summary>After a lost connection: the idle ones are most likely lost as well.</summary>
    internal void ForgetConnections()
    {
        if (!_isDisposed)
        {
            _writers.Clear();
            _readers.Clear();
        }
    }

    /// <summary>
    /// Does work that may be done twice (a read, or a write to a fixed value): again when the connection was lost or the server was away, until
    /// <see cref="PostgresOptions.UnavailableMax"/> is over, with the last exception then. A StreamsException is never repeated.
    /// </summary>
    internal Task<T> RunAsync<T>(Func<NpgsqlConnection, Task<T>> work, CancellationToken cancellationToken = default) => Detached.RunAsync(async () =>
    {
        await StartAsync(cancellationToken);
        var patience = new Patience(Time, Options.UnavailableMax);
        while (true)
        {
            // A turn for each attempt: while the server is away nobody waits behind another's patience.
            await _readerTurns.WaitAsync(cancellationToken);
            try
            {
                await using var connection = await _readers.OpenConnectionAsync(cancellationToken);
                return await work(connection);
            }
            catch (Exception exception) when (PostgresErrors.IsPassing(exception) && !_isDisposed && patience.IsLeft)
            {
                if (!PostgresErrors.IsRolledBack(exception))
                {
                    ForgetConnections();
                }
            }
            finally
            {
                _readerTurns.Release();
            }

            await patience.WaitAsync(cancellationToken);
        }
    });

    private static void CheckSchema(string schema)
    {
        if (schema.Length is 0 or > 63 || char.IsAsciiDigit(schema[0]) || !schema.All(letter => char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter == '_'))
        {
            throw new StreamsException(StreamsErrorCode.InvalidConfig, $"'{schema}' cannot be the schema: use 1 to 63 of a-z, 0-9 and _, no digit first");
        }
    }

    private static NpgsqlConnectionStringBuilder Parse(PostgresOptions options)
    {
        try
        {
            var given = new DbConnectionStringBuilder { ConnectionString = options.ConnectionString };
            var parsed = new NpgsqlConnectionStringBuilder(options.ConnectionString)
            {
                SearchPath = options.Schema,
                NoResetOnClose = true,
                MaxAutoPrepare = 20,
                AutoPrepareMinUsages = 2,
                WriteBufferSize = 64 * 1024,
                ReadBufferSize = 64 * 1024,
            };
            if (string.IsNullOrWhiteSpace(parsed.Host))
            {
                throw new ArgumentException("it names no Host");
            }

            parsed.Options = $"{parsed.Options} {SessionOptions}".TrimStart();
            parsed.Timeout = given.ContainsKey("Timeout") ? parsed.Timeout : 5;
            parsed.CommandTimeout = given.ContainsKey("Command Timeout") || given.ContainsKey("CommandTimeout") ? parsed.CommandTimeout : 15;
            parsed.ApplicationName ??= string.Create(CultureInfo.InvariantCulture, $"orleans-streams, process {Environment.ProcessId} on {Environment.MachineName}");
            return parsed;
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException or InvalidCastException or OverflowException)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidConfig,
                $"the PostgreSQL connection string cannot be used: {exception.Message.TrimEnd('.')}; write it like Host=127.0.0.1;Database=streams;Username=streams;Password=...",
                inner: exception);
        }
    }

    private NpgsqlDataSource Source(int connectionsMax)
    {
        var builder = new NpgsqlDataSourceBuilder(
            new NpgsqlConnectionStringBuilder(_connection.ConnectionString) { Pooling = true, MinPoolSize = 0, MaxPoolSize = connectionsMax }.ConnectionString);
        builder.UsePhysicalConnectionInitializer(_ => throw new NotSupportedException("Connections are opened asynchronously."), RequireSynchronousCommitAsync);
        return builder.Build();
    }

    /// <summary>A server, database or user may have a weaker default; rounds that need less say so for themselves.</summary>
    private async Task RequireSynchronousCommitAsync(NpgsqlConnection connection)
    {
        if (_facts is { } facts && facts.SynchronousCommit != facts.ServerDefault)
        {
            await using var command = new NpgsqlCommand("SELECT set_config('synchronous_commit', $1, false)", connection);
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = facts.SynchronousCommit });
            await command.ExecuteNonQueryAsync();
        }
    }

    private async Task ConnectAsync(CancellationToken cancellationToken)
    {
        await _starting.WaitAsync(cancellationToken);
        try
        {
            if (_facts is not null)
            {
                return;
            }

            var facts = await ReadFactsAsync(cancellationToken);
            if (Options.IsExclusive)
            {
                _owner ??= await SchemaOwner.TakeAsync(_sessions, Options.Schema, Time, _logger, cancellationToken);
            }

            await MigrateAsync(cancellationToken);
            _logger.Connected(facts.Version, Options.Schema, facts.ServerDefault, facts.SynchronousCommit);
            foreach (var setting in facts.Unsafe)
            {
                _logger.UnsafeServer(setting);
            }

            Volatile.Write(ref _facts, facts);
        }
        catch (Exception exception) when (exception is NpgsqlException or TimeoutException or IOException or System.Net.Sockets.SocketException)
        {
            throw PostgresErrors.AtStart(exception, _connection, Options.Schema);
        }
        finally
        {
            _starting.Release();
        }
    }

    private async Task MigrateAsync(CancellationToken cancellationToken)
    {
        await using var connection = await _sessions.OpenConnectionAsync(cancellationToken);
        foreach (var applied in await new SchemaMigrator(Options.Schema, Options.Migrate, SchemaMigration.All).RunAsync(connection, cancellationToken))
        {
            _logger.Migrated(Options.Schema, applied.Name);
        }
    }

    private async Task<ServerFacts> ReadFactsAsync(CancellationToken cancellationToken)
    {
        var patience = new Patience(Time, Options.UnavailableMax);
        while (true)
        {
            try
            {
                await using var connection = await _sessions.OpenConnectionAsync(cancellationToken);
                return await ServerFacts.ReadAsync(connection, VersionMin, cancellationToken);
            }
            catch (PostgresException exception) when (exception.SqlState == PostgresErrorCodes.CannotConnectNow)
            {
                // It is starting, or recovering from a crash: worth waiting for, unlike a server that isn't there.
                if (!await patience.WaitAsync(cancellationToken))
                {
                    throw;
                }
            }
        }
    }
}
