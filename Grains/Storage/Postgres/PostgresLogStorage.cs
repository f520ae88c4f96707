using Microsoft.Extensions.Logging;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.Storage.Postgres;

/// <summary>What the logs of one storage share.</summary>
internal sealed record PostgresLogShared(PostgresDatabase Database, RoundWriter Writer, RowJanitor Janitor, TailCache Cache);

/// <summary>
/// Logs in PostgreSQL: one row per record batch, appended for many logs in one transaction, fenced by the leader epoch in that same transaction. Any number
/// of processes may use one schema; unless <see cref="PostgresOptions.IsExclusive"/> keeps it to one. Nothing of it runs on a grain's scheduler.
/// </summary>
public sealed class PostgresLogStorage : ILogStorage
{
    private readonly PostgresDatabase _database;
    private readonly PostgresLogShared _shared;
    private readonly Lock _gate = new();
    private readonly Dictionary<LogId, PostgresLog> _openers = [];
    private bool _hasStarted;
    private volatile bool _isDisposed;

    /// <summary>Uses a database, which stays its owner's: dispose it after this.</summary>
    public PostgresLogStorage(PostgresDatabase database)
    {
        ArgumentNullException.ThrowIfNull(database);
        _database = database;
        _shared = new PostgresLogShared(
            database, new RoundWriter(database), new RowJanitor(database), new TailCache(database.Options.TailCacheBytes, new BufferPool(database.Options.SpareBufferBytes)));
    }

    /// <summary>The deletions under way; for tests.</summary>
    internal RowJanitor Janitor => _shared.Janitor;

    /// <inheritdoc/>
    public async ValueTask<ILog> OpenAsync(LogId id, LogOptions options, CancellationToken cancellationToken = default)
    {
        LogRules.CheckName(id);
        ArgumentNullException.ThrowIfNull(options);
        CheckOpen();
        await StartAsync(cancellationToken);

        // From this moment on: what the old opener has queued is refused.
        Opener(id)?.Fence();
        var opened = await GuardAsync(id, WriteOutcome.NotAWrite, () => _database.RunAsync(connection => LogStatements.OpenAsync(connection, id), cancellationToken));
        _shared.Janitor.Delete(opened.Key, opened.Leftovers);
        opened.Abandoned.ForEach(_shared.Janitor.DeleteLog);
        var log = new PostgresLog(_shared, id, options, opened, Forget);
        Remember(log);
        _database.Logger.LogOpened(id, log.LeaderEpoch, log.StartOffset, log.DurableEndOffset, log.Segments.Count);
        return log;
    }

    /// <inheritdoc/>
    public async ValueTask DeleteAsync(LogId id, CancellationToken cancellationToken = default)
    {
        LogRules.CheckName(id);
        CheckOpen();
        await StartAsync(cancellationToken);
        var key = await GuardAsync(id, WriteOutcome.Unknown, () => _database.RunAsync(connection => LogStatements.DeleteAsync(connection, id), cancellationToken));
        Opener(id)?.Fence();
        if (key is { } deleted)
        {
            _shared.Janitor.DeleteLog(deleted);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<IReadOnlyList<LogId>> ListAsync(string prefix, CancellationToken cancellationToken = default)
    {
        CheckOpen();
        await StartAsync(cancellationToken);
        return await GuardAsync(
            new LogId(prefix), WriteOutcome.NotAWrite, () => _database.RunAsync(connection => LogStatements.ListAsync(connection, prefix, cancellationToken), cancellationToken));
    }

    /// <summary>Closes all logs, after what they have queued is written.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        List<PostgresLog> openers;
        lock (_gate)
        {
            openers = [.. _openers.Values];
        }

        await Task.WhenAll(openers.Select(log => log.DisposeAsync().AsTask()));
        await _shared.Janitor.DisposeAsync();
    }

    private async Task StartAsync(CancellationToken cancellationToken)
    {
        await _database.StartAsync(cancellationToken);
        _database.CheckOwned();
        if (!Interlocked.Exchange(ref _hasStarted, true))
        {
            _shared.Janitor.DeleteLeftovers();
        }
    }

    private PostgresLog? Opener(LogId id)
    {
        lock (_gate)
        {
            return _openers.GetValueOrDefault(id);
        }
    }

    private void Remember(PostgresLog log)
    {
        lock (_gate)
        {
            // Of two that opened at the same time the database has decided; a log that was deleted in between begins anew, under another key.
            if (_openers.TryGetValue(log.Id, out var other) && other.IsNewerThan(log))
            {
                log.Fence();
                return;
            }

            other?.Fence();
            _openers[log.Id] = log;
        }
    }

    private void Forget(PostgresLog log)
    {
        lock (_gate)
        {
            if (_openers.GetValueOrDefault(log.Id) == log)
            {
                _openers.Remove(log.Id);
            }
        }
    }

    private static async Task<T> GuardAsync<T>(LogId id, WriteOutcome outcome, Func<Task<T>> work)
    {
        try
        {
            return await work();
        }
        catch (Exception exception) when (exception is not (StreamsException or OperationCanceledException))
        {
            throw PostgresErrors.Translate(id, outcome, exception);
        }
    }

    private void CheckOpen()
    {
        if (_isDisposed)
        {
            throw new StreamsException(StreamsErrorCode.Closed, $"The log storage in {_database.Place} is closed.", WriteOutcome.NotWritten);
        }
    }
}
