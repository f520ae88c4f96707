using System.Data;
using System.Globalization;
using Npgsql;
using OrleansStreams.Records;

namespace OrleansStreams.Storage.Postgres;

/// <content>Readers: memory first, then the table.</content>
internal sealed partial class PostgresLog
{
    // A reader that asks for more gets it in pieces of this size.
    private const int ReadBytesMax = 8 * 1024 * 1024;
    private const int ReadRowsMax = 4096;

    // The batch that holds the offset, and on from it while the bytes last; the server looks at lengths first and reads only what it sends. The leader is
    // asked for in the same statement: a fenced one gets nothing.
    private const string ReadSql =
        """
        SELECT r.base_offset, sum(octet_length(r.data)) OVER ()::bigint, octet_length(r.data), r.data
        FROM (SELECT b.base_offset, b.data, sum(octet_length(b.data)) OVER (ORDER BY b.base_offset) AS total
              FROM batches b
              WHERE b.log_id = $1 AND b.base_offset < $4
                AND b.base_offset >= (SELECT max(c.base_offset) FROM batches c WHERE c.log_id = $1 AND c.base_offset <= $2)
              ORDER BY b.base_offset LIMIT $5) r
        WHERE (r.total <= $3 OR r.base_offset <= $2) AND (SELECT l.leader_epoch FROM logs l WHERE l.id = $1) = $6
        ORDER BY r.base_offset
        """;

    private const string FindSql =
        """
        SELECT b.base_offset FROM batches b
        WHERE b.log_id = $1 AND b.base_offset >= $2 AND b.base_offset < $3 AND b.end_offset > $4 AND b.max_timestamp >= $5
        ORDER BY b.base_offset LIMIT 1
        """;

    // Guarded by _gate: below it memory may hold batches that a rewrite has replaced.
    private long _rewrittenEndOffset;

    public ValueTask<LogRead> ReadAsync(long offset, int maxBytes, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            lock (_gate)
            {
                CheckReadable();
                LogRules.CheckRead(Id, offset, _startOffset, _durableEndOffset);
                if (offset == _durableEndOffset)
                {
                    return ValueTask.FromResult(new LogRead(default, offset));
                }

                if (_tail.Holds(offset) && offset >= _rewrittenEndOffset)
                {
                    return ValueTask.FromResult(_tail.Read(offset, maxBytes, _durableEndOffset));
                }
            }
        }
        catch (StreamsException exception)
        {
            return ValueTask.FromException<LogRead>(exception);
        }

        return new ValueTask<LogRead>(GuardReadAsync(() => ReadStoredAsync(offset, Math.Clamp(maxBytes, 1, ReadBytesMax), cancellationToken)));
    }

    public ValueTask<long?> FindBatchByTimestampAsync(long timestamp, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        List<SegmentRow> segments;
        long start;
        long end;
        try
        {
            lock (_gate)
            {
                CheckReadable();
                segments = [.. _closed, _active];
                start = _startOffset;
                end = _durableEndOffset;
            }
        }
        catch (StreamsException exception)
        {
            return ValueTask.FromException<long?>(exception);
        }

        segments.RemoveAll(segment => segment.MaxTimestamp < timestamp || segment.EndOffset <= start || segment.Batches == 0);
        return segments.Count == 0 ? default : new ValueTask<long?>(GuardReadAsync(() => FindStoredAsync(segments, timestamp, start, end, cancellationToken)));
    }

    private async Task<T> GuardReadAsync<T>(Func<Task<T>> read)
    {
        try
        {
            return await Detached.RunAsync(read);
        }
        catch (Exception exception) when (exception is not (StreamsException or OperationCanceledException))
        {
            throw PostgresErrors.Translate(Id, WriteOutcome.NotAWrite, exception);
        }
    }

    private async Task<LogRead> ReadStoredAsync(long offset, int maxBytes, CancellationToken cancellationToken)
    {
        // Twice: the segments may have been truncated or rewritten between the look at them and the read.
        for (var attempt = 0; ; attempt++)
        {
            SegmentRow segment;
            lock (_gate)
            {
                CheckReadable();
                LogRules.CheckRead(Id, offset, _startOffset, _durableEndOffset);
                segment = SegmentOf(offset);
            }

            var rows = (int)Math.Clamp((maxBytes * segment.Batches / Math.Max(1, segment.Bytes)) + 2, 1, ReadRowsMax);
            var end = Math.Min(segment.EndOffset, DurableEndOffset);
            var (lent, length) = await _shared.Database.RunAsync(connection => ReadRowsAsync(connection, offset, maxBytes, end, rows, cancellationToken), cancellationToken);
            if (lent is not null)
            {
                return new LogRead(lent.Bytes.AsMemory(0, length), Checked(lent.Bytes.AsSpan(0, length), offset), lent.HandOver());
            }

            if (!await _shared.Database.RunAsync(LeadsAsync, cancellationToken))
            {
                Fence();
            }
            else if (attempt > 0)
            {
                throw Damaged(offset, "is missing");
            }
        }
    }

    private SegmentRow SegmentOf(long offset)
    {
        var low = 0;
        var high = _closed.Count - 1;
        while (low <= high)
        {
            var middle = (low + high) / 2;
            if (offset < _closed[middle].BaseOffset)
            {
                high = middle - 1;
            }
            else if (offset >= _closed[middle].EndOffset)
            {
                low = middle + 1;
            }
            else
            {
                return _closed[middle];
            }
        }

        return _active;
    }

    private async Task<(LentBuffer? Lent, int Length)> ReadRowsAsync(NpgsqlConnection connection, long offset, int maxBytes, long endOffset, int rows, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(ReadSql, connection)
        {
            Parameters =
            {
                LogStatements.Value(_key), LogStatements.Value(offset), LogStatements.Value((long)maxBytes), LogStatements.Value(endOffset),
                LogStatements.Value((long)rows), LogStatements.Value(LeaderEpoch),
            },
        };
        await using var reader = await command.ExecuteReaderAsync(CommandBehavior.SequentialAccess, cancellationToken);
        LentBuffer? lent = null;
        var read = 0;
        while (await reader.ReadAsync(cancellationToken))
        {
            lent ??= new LentBuffer(_shared.Cache.Buffers.Rent(checked((int)reader.GetInt64(1))), _shared.Cache.Buffers.Return);
            var length = reader.GetInt32(2);
            await using var data = await reader.GetStreamAsync(3, cancellationToken);
            await data.ReadExactlyAsync(lent.Bytes.AsMemory(read, length), cancellationToken);
            read += length;
        }

        return (lent, read);
    }

    /// <summary>Checks header, order and CRC of every batch; returns the offset after the last.</summary>
    private long Checked(ReadOnlySpan<byte> batches, long offset)
    {
        var next = -1L;
        while (!batches.IsEmpty)
        {
            var header = batches.Length < RecordBatchHeader.Size ? default : RecordBatchHeader.Read(batches);
            var isWhole = StoredBatch.IsHeader(header) && header.TotalBytes <= batches.Length;
            if (!isWhole || (next < 0 ? header.BaseOffset > offset || header.NextOffset <= offset : header.BaseOffset != next))
            {
                throw Damaged(next < 0 ? offset : next, "has a bad header");
            }

            if (!StoredBatch.HasRightCrc(batches[..header.TotalBytes], header))
            {
                throw Damaged(header.BaseOffset, "fails its checksum");
            }

            next = header.NextOffset;
            batches = batches[header.TotalBytes..];
        }

        return next;
    }

    private async Task<long?> FindStoredAsync(List<SegmentRow> segments, long timestamp, long start, long end, CancellationToken cancellationToken)
    {
        foreach (var segment in segments)
        {
            var found = await _shared.Database.RunAsync(
                async connection =>
                {
                    await using var command = new NpgsqlCommand(FindSql, connection)
                    {
                        Parameters =
                        {
                            LogStatements.Value(_key), LogStatements.Value(segment.BaseOffset), LogStatements.Value(Math.Min(segment.EndOffset, end)),
                            LogStatements.Value(start), LogStatements.Value(timestamp),
                        },
                    };
                    return (long?)await command.ExecuteScalarAsync(cancellationToken);
                },
                cancellationToken);
            if (found is not null)
            {
                return found;
            }
        }

        return null;
    }

    private async Task<bool> LeadsAsync(NpgsqlConnection connection)
    {
        await using var command = new NpgsqlCommand("SELECT count(*) FROM logs WHERE id = $1 AND leader_epoch = $2", connection)
        {
            Parameters = { LogStatements.Value(_key), LogStatements.Value(LeaderEpoch) },
        };
        return (long)(await command.ExecuteScalarAsync())! == 1;
    }

    private StreamsException Damaged(long offset, string what) => LogRules.Corrupt(Id, string.Create(
        CultureInfo.InvariantCulture, $"the batch of offset {offset}, log_id {_key} in table batches of {_shared.Database.Place}, {what}"));
}
