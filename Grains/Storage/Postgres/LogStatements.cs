using Npgsql;
using NpgsqlTypes;

namespace OrleansStreams.Storage.Postgres;

/// <summary>A log as it was found when it was opened.</summary>
internal sealed record OpenedLog(
    long Key, int LeaderEpoch, long StartOffset, LogCheckpoint? Checkpoint, List<SegmentRow> Closed, SegmentRow Active, List<SegmentRow> Leftovers, List<long> Abandoned);

/// <summary>The statements about one log but for its batches. Each may be repeated after a lost connection: it then finds its own work done.</summary>
internal static class LogStatements
{
    // The UPDATE waits for a round that holds the row; whatever comes after it is turned away by the epoch.
    private const string OpenSql =
        """
        INSERT INTO logs AS l (name, leader_epoch) VALUES ($1, 1)
        ON CONFLICT (name) DO UPDATE SET leader_epoch = l.leader_epoch + 1, inquiry = 0
        RETURNING l.id, l.leader_epoch, l.start_offset, l.checkpoint_offset, l.checkpoint
        """;

    private const string SegmentsSql = "SELECT base_offset, end_offset, bytes, batches, max_timestamp FROM segments WHERE log_id = $1 ORDER BY base_offset";

    private const string ActiveSql =
        """
        SELECT count(*), coalesce(sum(octet_length(data)), 0)::bigint, max(max_timestamp), min(base_offset), max(end_offset)
        FROM batches WHERE log_id = $1 AND base_offset >= (SELECT coalesce(max(end_offset), 0) FROM segments WHERE log_id = $1)
        """;

    private const string TruncateSql =
        """
        WITH l AS (UPDATE logs SET start_offset = greatest(start_offset, $3) WHERE id = $1 AND leader_epoch = $2 RETURNING id),
             rolled AS (INSERT INTO segments SELECT l.id, $5, $6, $7, $8, $9 FROM l WHERE $4 ON CONFLICT DO NOTHING)
        SELECT count(*) FROM l
        """;

    private const string RollSql =
        """
        WITH l AS MATERIALIZED (SELECT id FROM logs WHERE id = $1 AND leader_epoch = $2 FOR SHARE),
             rolled AS (INSERT INTO segments SELECT l.id, $3, $4, $5, $6, $7 FROM l ON CONFLICT DO NOTHING)
        SELECT count(*) FROM l
        """;

    private const string CheckpointSql =
        "WITH l AS (UPDATE logs SET checkpoint_offset = $3, checkpoint = $4 WHERE id = $1 AND leader_epoch = $2 RETURNING id) SELECT count(*) FROM l";

    private const string DeleteSql = "UPDATE logs SET name = NULL, leader_epoch = leader_epoch + 1, rewrite_of = NULL WHERE name = $1 RETURNING id";

    /// <summary>Takes a log: raises its epoch, then looks at what is there.</summary>
    public static async Task<OpenedLog> OpenAsync(NpgsqlConnection connection, LogId id)
    {
        long key;
        int epoch;
        long start;
        LogCheckpoint? checkpoint;
        await using (var open = new NpgsqlCommand(OpenSql, connection) { Parameters = { new NpgsqlParameter<string> { TypedValue = id.Path } } })
        await using (var reader = await open.ExecuteReaderAsync())
        {
            await reader.ReadAsync();
            (key, epoch, start) = (reader.GetInt64(0), reader.GetInt32(1), reader.GetInt64(2));
            checkpoint = reader.IsDBNull(3) ? null : new LogCheckpoint(reader.GetInt64(3), reader.GetFieldValue<byte[]>(4));
        }

        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(SegmentsSql) { Parameters = { Value(key) } },
                new NpgsqlBatchCommand(ActiveSql) { Parameters = { Value(key) } },
                new NpgsqlBatchCommand("SELECT id FROM logs WHERE rewrite_of = $1") { Parameters = { Value(key) } },
            },
        };
        await using var found = await batch.ExecuteReaderAsync();
        var closed = new List<SegmentRow>();
        while (await found.ReadAsync())
        {
            closed.Add(new SegmentRow(found.GetInt64(0), found.GetInt64(1), found.GetInt64(2), found.GetInt64(3), found.GetInt64(4)));
        }

        await found.NextResultAsync();
        await found.ReadAsync();
        var active = found.GetInt64(0) > 0
            ? new SegmentRow(found.GetInt64(3), found.GetInt64(4), found.GetInt64(1), found.GetInt64(0), found.GetInt64(2))
            : SegmentRow.EmptyAt(Math.Max(start, closed.Count == 0 ? 0 : closed[^1].EndOffset));
        await found.NextResultAsync();
        var abandoned = new List<long>();
        while (await found.ReadAsync())
        {
            abandoned.Add(found.GetInt64(0));
        }

        var leftovers = closed.FindAll(segment => segment.EndOffset <= start);
        closed.RemoveRange(0, leftovers.Count);
        return new OpenedLog(key, epoch, start, checkpoint, closed, active, leftovers, abandoned);
    }

    /// <summary>Raises the start; closes the active segment when one is given. False when the log belongs to a newer leader.</summary>
    public static Task<bool> TruncateAsync(NpgsqlConnection connection, long key, int epoch, long newStartOffset, SegmentRow? rolled) => IsLeaderAsync(
        connection,
        TruncateSql,
        [Value(key), Value(epoch), Value(newStartOffset), new NpgsqlParameter<bool> { TypedValue = rolled is not null }, .. Values(rolled ?? default)]);

    /// <summary>Closes the active segment. False when the log belongs to a newer leader.</summary>
    public static Task<bool> RollAsync(NpgsqlConnection connection, long key, int epoch, SegmentRow rolled) =>
        IsLeaderAsync(connection, RollSql, [Value(key), Value(epoch), .. Values(rolled)]);

    /// <summary>Replaces the checkpoint. False when the log belongs to a newer leader.</summary>
    public static Task<bool> WriteCheckpointAsync(NpgsqlConnection connection, long key, int epoch, LogCheckpoint checkpoint) => IsLeaderAsync(
        connection,
        CheckpointSql,
        [Value(key), Value(epoch), Value(checkpoint.Offset), new NpgsqlParameter<ReadOnlyMemory<byte>> { TypedValue = checkpoint.Blob, NpgsqlDbType = NpgsqlDbType.Bytea }]);

    /// <summary>Takes a log's name away and turns its openers away; its rows are left to the janitor. Null when there is none.</summary>
    public static async Task<long?> DeleteAsync(NpgsqlConnection connection, LogId id)
    {
        await using var command = new NpgsqlCommand(DeleteSql, connection) { Parameters = { new NpgsqlParameter<string> { TypedValue = id.Path } } };
        return (long?)await command.ExecuteScalarAsync();
    }

    /// <summary>The names that begin with a prefix, in ordinal order (the column's collation is "C").</summary>
    public static async Task<List<LogId>> ListAsync(NpgsqlConnection connection, string prefix, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand("SELECT name FROM logs WHERE name IS NOT NULL AND starts_with(name, $1) ORDER BY name", connection)
        {
            Parameters = { new NpgsqlParameter<string> { TypedValue = prefix } },
        };
        var names = new List<LogId>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            names.Add(new LogId(reader.GetString(0)));
        }

        return names;
    }

    public static NpgsqlParameter<long> Value(long value) => new() { TypedValue = value };

    public static NpgsqlParameter<int> Value(int value) => new() { TypedValue = value };

    public static NpgsqlParameter[] Values(SegmentRow row) =>
        [Value(row.BaseOffset), Value(row.EndOffset), Value(row.Bytes), Value(row.Batches), Value(row.MaxTimestamp)];

    private static async Task<bool> IsLeaderAsync(NpgsqlConnection connection, string sql, NpgsqlParameter[] parameters)
    {
        // The constants above.
#pragma warning disable CA2100
        await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        command.Parameters.AddRange(parameters);
        return (long)(await command.ExecuteScalarAsync())! == 1;
    }
}
