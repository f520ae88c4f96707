using Microsoft.Extensions.Logging;
using Npgsql;

namespace OrleansStreams.Storage.Postgres;

/// <summary>
/// Keeps a schema to this process by a session's advisory lock, which ends with the process or its connection. A lost connection is made anew; should
/// another process have come first, <see cref="Lost"/> says so. Nothing that is stored depends on it: leader epochs and versions do that.
/// </summary>
internal sealed class SchemaOwner : IAsyncDisposable
{
    // A killed process's session ends when the server notices, which takes moments.
    private static readonly TimeSpan Handover = TimeSpan.FromSeconds(5);

    private readonly NpgsqlDataSource _source;
    private readonly string _schema;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _ending = new();
    private NpgsqlConnection _connection;
    private Task _watching = Task.CompletedTask;
    private StreamsException? _lost;

    private SchemaOwner(NpgsqlDataSource source, string schema, TimeProvider time, ILogger logger, NpgsqlConnection connection)
    {
        _source = source;
        _schema = schema;
        _time = time;
        _logger = logger;
        _connection = connection;
    }

    /// <summary>Not null when another process took the schema while this one's connection was lost.</summary>
    public StreamsException? Lost => Volatile.Read(ref _lost);

    /// <summary>Takes the schema.</summary>
    /// <exception cref="StreamsException">DataFolderInUse, naming who has it.</exception>
    public static async Task<SchemaOwner> TakeAsync(
        NpgsqlDataSource source, string schema, TimeProvider time, ILogger logger, CancellationToken cancellationToken)
    {
        var patience = new Patience(time, Handover);
        while (true)
        {
            var (connection, holder) = await TryAsync(source, schema, cancellationToken);
            if (connection is not null)
            {
                var owner = new SchemaOwner(source, schema, time, logger, connection);
                owner._watching = Detached.RunAsync(owner.WatchAsync);
                return owner;
            }

            if (!await patience.WaitAsync(cancellationToken))
            {
                throw InUse(schema, holder);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync();
        await _watching;
        await _connection.DisposeAsync();
        _ending.Dispose();
    }

    private static async Task<(NpgsqlConnection? Connection, string? Holder)> TryAsync(NpgsqlDataSource source, string schema, CancellationToken cancellationToken)
    {
        var connection = await source.OpenConnectionAsync(cancellationToken);
        try
        {
            await using var command = new NpgsqlCommand("SELECT pg_try_advisory_lock(hashtextextended('orleans-streams/owner/' || $1, 0))", connection);
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = schema });
            if ((bool)(await command.ExecuteScalarAsync(cancellationToken))!)
            {
                return (connection, null);
            }

            await using var who = new NpgsqlCommand(
                """
                SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
                WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                  AND ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended('orleans-streams/owner/' || $1, 0)
                """,
                connection);
            who.Parameters.Add(new NpgsqlParameter<string> { TypedValue = schema });
            var holder = await who.ExecuteScalarAsync(cancellationToken) as string;
            await connection.DisposeAsync();
            return (null, holder);
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    private static StreamsException InUse(string schema, string? holder) => new(
        StreamsErrorCode.DataFolderInUse,
        $"the schema '{schema}' of this database is in use{(holder is null ? string.Empty : $" by '{holder}'")}: stop that process, or choose another schema");

    /// <summary>Sleeps in the connection until it breaks.</summary>
    private async Task WatchAsync()
    {
        while (!_ending.IsCancellationRequested)
        {
            try
            {
                await _connection.WaitAsync(_ending.Token);
            }
            catch (OperationCanceledException) when (_ending.IsCancellationRequested)
            {
                return;
            }
            catch (Exception exception)
            {
                _logger.OwnershipInterrupted(_schema, exception.Message);
                await TakeAgainAsync();
            }
        }
    }

    /// <summary>Until it has the schema again or the storage is closed; readiness tells as long as another has it.</summary>
    private async Task TakeAgainAsync()
    {
        await _connection.DisposeAsync();
        while (!_ending.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(TimeSpan.FromMilliseconds(250), _time, _ending.Token);
                var (connection, holder) = await TryAsync(_source, _schema, _ending.Token);
                if (connection is not null)
                {
                    _connection = connection;
                    Volatile.Write(ref _lost, null);
                    return;
                }

                if (Lost is null)
                {
                    Volatile.Write(ref _lost, InUse(_schema, holder));
                    _logger.OwnershipLost(_schema, holder ?? "another session");
                }
            }
            catch (Exception exception) when (exception is NpgsqlException or OperationCanceledException or TimeoutException or IOException)
            {
                // Still away, or closing.
            }
        }
    }
}
