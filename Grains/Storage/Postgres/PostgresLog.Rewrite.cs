using Npgsql;
using OrleansStreams.Records;

namespace OrleansStreams.Storage.Postgres;

/// <content>
/// Replacing the batches of closed segments. The new ones are stored beside the log, under a key of their own that has no name; the commit deletes the old
/// rows and hands the new ones over, which moves no data (a large value stays where it is when its row changes). Short, and appends go on meanwhile.
/// </content>
internal sealed partial class PostgresLog
{
    private Rewrite? _rewrite;

    public async ValueTask<ILogRewrite> BeginRewriteAsync(long fromOffset, long endOffset, CancellationToken cancellationToken = default)
    {
        Rewrite rewrite;
        lock (_gate)
        {
            CheckUsable();
            if (_rewrite is not null)
            {
                throw new InvalidOperationException($"Log {Id} is being rewritten already: dispose that rewrite first.");
            }

            rewrite = _rewrite = new Rewrite(this, new RewriteRange(Id, fromOffset, endOffset, SegmentInfos()));
        }

        try
        {
            await RunControlAsync(rewrite.BeginAsync, cancellationToken);
            return rewrite;
        }
        catch
        {
            await rewrite.DisposeAsync();
            throw;
        }
    }

    /// <summary>The new batches of a range of segments. To the writer it is a log like any other.</summary>
    private sealed class Rewrite(PostgresLog log, RewriteRange range) : ILogRewrite, IRoundOwner
    {
        private const string BeginSql =
            "INSERT INTO logs (leader_epoch, start_offset, rewrite_of) SELECT leader_epoch, $3, id FROM logs WHERE id = $1 AND leader_epoch = $2 RETURNING id";

        private readonly List<SegmentRow> _segments = [];
        private SegmentRow _last = SegmentRow.EmptyAt(range.FromOffset);
        private RoundPart? _part;
        private TaskCompletionSource? _stored;
        private long _key = -1;
        private int _inquiry;
        private long _rows;
        private bool _isCommitted;
        private bool _isEnded;

        public long FromOffset => range.FromOffset;

        public long EndOffset => range.EndOffset;

        public long NextOffset => range.NextOffset;

        public async Task BeginAsync()
        {
            var key = await log._shared.Database.RunAsync(async connection =>
            {
                await using var command = new NpgsqlCommand(BeginSql, connection)
                {
                    Parameters = { LogStatements.Value(log._key), LogStatements.Value(log.LeaderEpoch), LogStatements.Value(FromOffset) },
                };
                return (long?)await command.ExecuteScalarAsync();
            });
            log.CheckLeads(key is not null);
            _key = key!.Value;
        }

        public ValueTask AppendAsync(ReadOnlyMemory<byte> batches)
        {
            CheckOpen();
            range.Add(batches.Span);
            return batches.IsEmpty ? ValueTask.CompletedTask : new ValueTask(Detached.RunAsync(() => StoreAsync(batches)));
        }

        public async ValueTask<bool> CommitAsync(CancellationToken cancellationToken = default)
        {
            CheckOpen();
            range.CheckComplete();
            var isReplaced = false;
            await log.RunControlAsync(async () => isReplaced = await ReplaceAsync(), cancellationToken);
            return isReplaced;
        }

        public ValueTask DisposeAsync()
        {
            lock (log._gate)
            {
                if (!_isEnded)
                {
                    _isEnded = true;
                    log._rewrite = null;
                }
            }

            if (!_isCommitted && _key >= 0)
            {
                log._shared.Janitor.DeleteLog(_key);
                _key = -1;
            }

            return ValueTask.CompletedTask;
        }

        public RoundPart? Take(long bytesMax) => Interlocked.Exchange(ref _part, null);

        public bool Written(RoundPart part)
        {
            _inquiry = part.Inquiry;
            _stored!.SetResult();
            return false;
        }

        public bool Failed(RoundPart part, RoundFailure failure, Exception? cause)
        {
            _inquiry = part.Inquiry;
            _stored!.SetException(failure switch
            {
                RoundFailure.DiskFull => LogRules.DiskFull(log.Id, cause),
                RoundFailure.Fenced or RoundFailure.FencedUnknown => LogRules.Fenced(log.Id, log.LeaderEpoch),
                _ => PostgresErrors.Failed(log.Id, WriteOutcome.NotWritten, cause),
            });
            return false;
        }

        /// <summary>Beside the log, through the writer: a lost connection is resolved there.</summary>
        private async Task StoreAsync(ReadOnlyMemory<byte> batches)
        {
            var rows = new List<BatchRow>();
            var roundBytes = log._shared.Database.Options.RoundBytesMax;
            for (var left = batches; !left.IsEmpty;)
            {
                var bytes = 0;
                do
                {
                    bytes += RecordBatchHeader.Read(left.Span[bytes..]).TotalBytes;
                }
                while (bytes < left.Length && bytes < roundBytes);
                rows.Clear();
                _last = BatchRow.Split(left[..bytes], rows, _last, _segments, log._options.SegmentBytes);
                await StoreRoundAsync([.. rows]);
                left = left[bytes..];
            }
        }

        private Task StoreRoundAsync(List<BatchRow> rows)
        {
            _stored = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _rows += rows.Count;
            _part = new RoundPart
            {
                Owner = this,
                LogKey = _key,
                LeaderEpoch = log.LeaderEpoch,
                Inquiry = _inquiry,

                // Durable with the commit, which comes behind it in the WAL.
                SynchronousCommit = "off",
                Rows = rows,
                Closed = [],
            };
            log._shared.Writer.Enqueue(this);
            return _stored.Task;
        }

        private async Task<bool> ReplaceAsync()
        {
            lock (log._gate)
            {
                if (RewriteRange.Find(log.SegmentInfos(), FromOffset, EndOffset) is null)
                {
                    return false;
                }
            }

            List<SegmentRow> segments = [.. _segments, _last];
            var outcome = await RewriteCommit.RunAsync(
                log._shared.Database, new RewriteCommit.Request(log._key, log.LeaderEpoch, _key, _inquiry, FromOffset, EndOffset, _rows, segments));
            log.CheckLeads(outcome);
            _isCommitted = true;
            lock (log._gate)
            {
                var first = log._closed.FindIndex(segment => segment.BaseOffset == FromOffset);
                var last = log._closed.FindIndex(first, segment => segment.EndOffset == EndOffset);
                log._closed.RemoveRange(first, last - first + 1);
                log._closed.InsertRange(first, segments);
                log._rewrittenEndOffset = Math.Max(log._rewrittenEndOffset, EndOffset);
            }

            return true;
        }

        private void CheckOpen()
        {
            ObjectDisposedException.ThrowIf(_isEnded || _isCommitted, this);
            lock (log._gate)
            {
                log.CheckUsable();
            }
        }
    }
}
