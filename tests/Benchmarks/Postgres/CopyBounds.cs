using Npgsql;
using NpgsqlTypes;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Records;
using OrleansStreams.Tests.Postgres;

namespace OrleansStreams.Benchmarks.Postgres;

/// <summary>What PostgreSQL gives to a plain binary COPY of the same batches: the same rows in a table of the same form, no fencing, no client, no order.</summary>
internal sealed class CopyBounds(PostgresServer server)
{
    private const string Form =
        """
        (log_id bigint NOT NULL, base_offset bigint NOT NULL, end_offset bigint NOT NULL, max_timestamp bigint NOT NULL, leader_epoch integer NOT NULL,
         data bytea STORAGE EXTERNAL NOT NULL, PRIMARY KEY (log_id, base_offset))
        """;

    // As in our rounds: so much is committed, and flushed, at once.
    private const int CommitBytes = 4 * 1024 * 1024;

    public async Task CreateAsync()
    {
        // STORAGE in CREATE TABLE is of version 16.
        await server.ExecuteAsync("DROP TABLE IF EXISTS copied");
        await server.ExecuteAsync($"CREATE TABLE copied {Form.Replace("STORAGE EXTERNAL ", string.Empty, StringComparison.Ordinal)}");
        await server.ExecuteAsync("ALTER TABLE copied ALTER COLUMN data SET STORAGE EXTERNAL");
    }

    /// <summary>Copies all batches in, over so many connections at the same time.</summary>
    public async Task<Cost> InAsync(IReadOnlyList<byte[]> batches, int connections, long records)
    {
        await server.ExecuteAsync("TRUNCATE copied");
        await server.ExecuteAsync("CHECKPOINT");
        return await Cost.OfAsync(records, () => Task.WhenAll(Enumerable.Range(0, connections).Select(lane => Task.Run(() => CopyInAsync(batches, lane, connections)))));
    }

    /// <summary>Copies all batches out and decodes them.</summary>
    public Task<Cost> OutAsync(long records) => Cost.OfAsync(records, async () =>
    {
        await using var connection = await server.ConnectAsync();
        await using var export = await connection.BeginBinaryExportAsync("COPY (SELECT data FROM copied ORDER BY log_id, base_offset) TO STDOUT (FORMAT BINARY)");
        long touched = 0;
        while (await export.StartRowAsync() >= 0)
        {
            var reader = new RecordBatchReader(await export.ReadAsync<byte[]>(NpgsqlDbType.Bytea));
            while (reader.TryRead(out var record))
            {
                touched += record.Key[0] + record.Value.Length;
            }
        }

        GC.KeepAlive(touched);
    });

    private async Task CopyInAsync(IReadOnlyList<byte[]> batches, int lane, int lanes)
    {
        await using var connection = await server.ConnectAsync();
        for (var next = lane; next < batches.Count;)
        {
            await using var import = await connection.BeginBinaryImportAsync("COPY copied FROM STDIN (FORMAT BINARY)");
            for (var bytes = 0; next < batches.Count && bytes < CommitBytes; next += lanes)
            {
                await import.StartRowAsync();
                await import.WriteAsync((long)lane, NpgsqlDbType.Bigint);
                await import.WriteAsync((long)next, NpgsqlDbType.Bigint);
                await import.WriteAsync((long)next + 1, NpgsqlDbType.Bigint);
                await import.WriteAsync(0L, NpgsqlDbType.Bigint);
                await import.WriteAsync(1, NpgsqlDbType.Integer);
                await import.WriteAsync(batches[next], NpgsqlDbType.Bytea);
                bytes += batches[next].Length;
            }

            await import.CompleteAsync();
        }
    }
}
