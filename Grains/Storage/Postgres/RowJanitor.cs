using Npgsql;

namespace OrleansStreams.Storage.Postgres;

/// <summary>
/// Deletes rows that nobody can reach any more: below the starts of logs, of deleted logs, of rewrites that came to nothing. One transaction at a time and
/// a bounded number of rows in each, so that no lock is held for long. What a crash leaves is found again at the next opening or start.
/// </summary>
internal sealed class RowJanitor(PostgresDatabase database) : IAsyncDisposable
{
    private const string DeleteBatchesSql =
        """
        WITH gone AS (
            DELETE FROM batches b USING (SELECT base_offset FROM batches WHERE log_id = $1 AND base_offset >= $2 AND base_offset < $3 ORDER BY base_offset LIMIT $4) v
            WHERE b.log_id = $1 AND b.base_offset = v.base_offset RETURNING b.base_offset)
        SELECT count(*), max(base_offset) FROM gone
        """;

    private const string LeftoversSql =
        """
        SELECT t.id FROM logs t
        WHERE t.name IS NULL AND NOT EXISTS (SELECT FROM logs l WHERE l.id = t.rewrite_of AND l.leader_epoch = t.leader_epoch)
        """;

    private readonly Lock _gate = new();
    private readonly Queue<Func<Task>> _work = new();
    private readonly CancellationTokenSource _ending = new();
    private Task _working = Task.CompletedTask;
    private bool _isWorking;

    /// <summary>Ends when all that was queued is deleted.</summary>
    public Task IdleAsync()
    {
        lock (_gate)
        {
            return _working;
        }
    }

    /// <summary>Finds what an earlier process left.</summary>
    public void DeleteLeftovers() => Enqueue(async () =>
    {
        foreach (var key in await database.RunAsync(FindLeftoversAsync, _ending.Token))
        {
            await DeleteWholeAsync(key);
        }
    });

    /// <summary>Deletes segments of a log that lie below its start.</summary>
    public void Delete(long key, IReadOnlyList<SegmentRow> segments)
    {
        if (segments.Count > 0)
        {
            Enqueue(async () =>
            {
                foreach (var segment in segments)
                {
                    await DeleteBatchesAsync(key, segment.BaseOffset, segment.EndOffset);
                    await ExecuteAsync("DELETE FROM segments WHERE log_id = $1 AND base_offset = $2", LogStatements.Value(key), LogStatements.Value(segment.BaseOffset));
                }
            });
        }
    }

    /// <summary>Deletes a log that has lost its name, or the room of a rewrite.</summary>
    public void DeleteLog(long key) => Enqueue(() => DeleteWholeAsync(key));

    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync();
        await IdleAsync();
        _ending.Dispose();
    }

    private void Enqueue(Func<Task> work)
    {
        lock (_gate)
        {
            _work.Enqueue(work);
            if (!_isWorking)
            {
                _isWorking = true;
                _working = Detached.RunAsync(WorkAsync);
            }
        }
    }

    private async Task WorkAsync()
    {
        while (true)
        {
            Func<Task>? work;
            lock (_gate)
            {
                if (_ending.IsCancellationRequested || !_work.TryDequeue(out work))
                {
                    _isWorking = false;
                    return;
                }
            }

            try
            {
                await work();
            }
            catch (OperationCanceledException) when (_ending.IsCancellationRequested)
            {
                // The rest is found again.
            }
            catch (Exception exception)
            {
                database.Logger.RowsNotDeleted(exception);
            }
        }
    }

    private async Task DeleteWholeAsync(long key)
    {
        await DeleteBatchesAsync(key, 0, long.MaxValue);
        await ExecuteAsync("DELETE FROM segments WHERE log_id = $1", LogStatements.Value(key));
        await ExecuteAsync("DELETE FROM logs WHERE id = $1 AND name IS NULL", LogStatements.Value(key));
    }

    private async Task DeleteBatchesAsync(long key, long fromOffset, long endOffset)
    {
        // On from the last one deleted: as long as somebody's snapshot needs the dead rows, a scan from the beginning would meet all of them each time.
        var from = fromOffset;
        var rowsMax = database.Options.DeleteRowsMax;
        while (true)
        {
            var (rows, last) = await database.RunAsync(connection => DeleteSomeAsync(connection, key, from, endOffset, rowsMax), _ending.Token);
            if (rows < rowsMax)
            {
                return;
            }

            from = last + 1;
        }
    }

    private static async Task<(long Rows, long Last)> DeleteSomeAsync(NpgsqlConnection connection, long key, long from, long end, int rowsMax)
    {
        await using var command = new NpgsqlCommand(DeleteBatchesSql, connection)
        {
            Parameters = { LogStatements.Value(key), LogStatements.Value(from), LogStatements.Value(end), LogStatements.Value(rowsMax) },
        };
        await using var reader = await command.ExecuteReaderAsync();
        await reader.ReadAsync();
        return (reader.GetInt64(0), reader.IsDBNull(1) ? from : reader.GetInt64(1));
    }

    private static async Task<List<long>> FindLeftoversAsync(NpgsqlConnection connection)
    {
        var keys = new List<long>();
        await using var command = new NpgsqlCommand(LeftoversSql, connection);
        await using var reader = await command.ExecuteReaderAsync();
        while (await reader.ReadAsync())
        {
            keys.Add(reader.GetInt64(0));
        }

        return keys;
    }

    private Task ExecuteAsync(string sql, params NpgsqlParameter[] parameters) => database.RunAsync(
        async connection =>
        {
            // Constants of this class.
#pragma warning disable CA2100
            await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
            command.Parameters.AddRange(parameters.Select(parameter => parameter.Clone()).ToArray());
            return await command.ExecuteNonQueryAsync();
        },
        _ending.Token);
}
