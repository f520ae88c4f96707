using Npgsql;

namespace OrleansStreams.Storage.Postgres;

/// <summary>
/// The transaction that puts rewritten batches in the place of the old ones. It deletes the row that stands for the rewrite: after a lost connection, who
/// finds that row still there, and raises its inquiry, knows that nothing was replaced and never will be by what was sent; who doesn't, that all was.
/// </summary>
internal static class RewriteCommit
{
    /// <summary>What replaces what.</summary>
    internal sealed record Request(long LogKey, int LeaderEpoch, long Key, int Inquiry, long FromOffset, long EndOffset, long Rows, IReadOnlyList<SegmentRow> Segments);

    /// <summary>True when it is done, false when the log belongs to a newer leader.</summary>
    public static async Task<bool> RunAsync(PostgresDatabase database, Request request)
    {
        var isLost = false;
        return await database.RunAsync(async connection =>
        {
            if (isLost)
            {
                if (await AskAsync(connection, request.Key) is not { } inquiry)
                {
                    return true;
                }

                request = request with { Inquiry = inquiry };
            }

            isLost = true;
            return await ReplaceAsync(connection, request);
        });
    }

    private static async Task<int?> AskAsync(NpgsqlConnection connection, long key)
    {
        await using var command = new NpgsqlCommand("UPDATE logs SET inquiry = inquiry + 1 WHERE id = $1 RETURNING inquiry", connection) { Parameters = { LogStatements.Value(key) } };
        return (int?)await command.ExecuteScalarAsync();
    }

    private static async Task<bool> ReplaceAsync(NpgsqlConnection connection, Request request)
    {
        await using var transaction = await connection.BeginTransactionAsync();

        // The room first: nobody else wants it, so the log's own row is held only from here to the commit.
        var isThere = await ExecuteAsync(
            connection, "DELETE FROM logs WHERE id = $1 AND inquiry = $2", LogStatements.Value(request.Key), LogStatements.Value(request.Inquiry));
        var leads = await ExecuteAsync(
            connection, "SELECT FROM logs WHERE id = $1 AND leader_epoch = $2 FOR SHARE", LogStatements.Value(request.LogKey), LogStatements.Value(request.LeaderEpoch));
        if (isThere == 0 || leads == 0)
        {
            return false;
        }

        await ExecuteAsync(
            connection,
            "DELETE FROM batches WHERE log_id = $1 AND base_offset >= $2 AND base_offset < $3",
            LogStatements.Value(request.LogKey),
            LogStatements.Value(request.FromOffset),
            LogStatements.Value(request.EndOffset));
        var moved = await ExecuteAsync(
            connection, "UPDATE batches SET log_id = $1 WHERE log_id = $2", LogStatements.Value(request.LogKey), LogStatements.Value(request.Key));
        if (moved != request.Rows)
        {
            throw new StreamsException(
                StreamsErrorCode.StorageError,
                $"A rewrite has {moved} of its {request.Rows} rows; nothing was replaced. Rewrite the segments again.",
                WriteOutcome.NotWritten);
        }

        await ExecuteAsync(
            connection,
            "DELETE FROM segments WHERE log_id = $1 AND base_offset >= $2 AND base_offset < $3",
            LogStatements.Value(request.LogKey),
            LogStatements.Value(request.FromOffset),
            LogStatements.Value(request.EndOffset));
        foreach (var segment in request.Segments)
        {
            await ExecuteAsync(connection, "INSERT INTO segments VALUES ($1, $2, $3, $4, $5, $6)", [LogStatements.Value(request.LogKey), .. LogStatements.Values(segment)]);
        }

        await transaction.CommitAsync();
        return true;
    }

    private static async Task<int> ExecuteAsync(NpgsqlConnection connection, string sql, params NpgsqlParameter[] parameters)
    {
        // The constants above.
#pragma warning disable CA2100
        await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        command.Parameters.AddRange(parameters);
        if (!sql.StartsWith("SELECT", StringComparison.Ordinal))
        {
            return await command.ExecuteNonQueryAsync();
        }

        await using var reader = await command.ExecuteReaderAsync();
        return await reader.ReadAsync() ? 1 : 0;
    }
}
