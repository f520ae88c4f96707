using OrleansStreams.Records;

namespace OrleansStreams.Storage;

/// <content>Ending segments, and replacing closed ones.</content>
internal sealed partial class MemoryLog
{
    private Rewrite? _rewrite;

    public ValueTask RollAsync(CancellationToken cancellationToken = default)
    {
        lock (_data.Gate)
        {
            CheckUsable();
            _data.Roll();
            return ValueTask.CompletedTask;
        }
    }

    public ValueTask<ILogRewrite> BeginRewriteAsync(long fromOffset, long endOffset, CancellationToken cancellationToken = default)
    {
        lock (_data.Gate)
        {
            CheckUsable();
            if (_rewrite is not null)
            {
                throw new InvalidOperationException($"Log {Id} is being rewritten already: dispose that rewrite first.");
            }

            _rewrite = new Rewrite(this, new RewriteRange(Id, fromOffset, endOffset, SegmentInfos()));
            return ValueTask.FromResult<ILogRewrite>(_rewrite);
        }
    }

    private IReadOnlyList<LogSegmentInfo> SegmentInfos() => _data.Segments.ConvertAll(
        segment => new LogSegmentInfo(segment.BaseOffset, segment.EndOffset, segment.Bytes, segment.Bytes == 0 ? -1 : segment.MaxTimestamp));

    private sealed class Rewrite(MemoryLog log, RewriteRange range) : ILogRewrite
    {
        private readonly MemoryLogData.Segment _segment = new(range.FromOffset);
        private bool _isEnded;

        public long FromOffset => range.FromOffset;

        public long EndOffset => range.EndOffset;

        public long NextOffset => range.NextOffset;

        public ValueTask AppendAsync(ReadOnlyMemory<byte> batches)
        {
            lock (log._data.Gate)
            {
                ObjectDisposedException.ThrowIf(_isEnded, this);
                log.CheckUsable();
                range.Add(batches.Span);
                if (!log._storage.TryReserve(batches.Length))
                {
                    throw LogRules.DiskFull(log.Id, null);
                }

                for (var rest = batches.Span; !rest.IsEmpty;)
                {
                    var header = RecordBatchHeader.Read(rest);
                    log._data.Append(_segment, rest[..header.TotalBytes], header.LeaderEpoch, null);
                    rest = rest[header.TotalBytes..];
                }

                return ValueTask.CompletedTask;
            }
        }

        public ValueTask<bool> CommitAsync(CancellationToken cancellationToken = default)
        {
            lock (log._data.Gate)
            {
                ObjectDisposedException.ThrowIf(_isEnded, this);
                log.CheckUsable();
                range.CheckComplete();
                if (RewriteRange.Find(log.SegmentInfos(), FromOffset, EndOffset) is not { } found)
                {
                    return ValueTask.FromResult(false);
                }

                log._storage.Release(log._data.Replace(found.Index, found.Count, _segment));
                End();
                return ValueTask.FromResult(true);
            }
        }

        public ValueTask DisposeAsync()
        {
            lock (log._data.Gate)
            {
                if (!_isEnded)
                {
                    log._storage.Release(_segment.Bytes);
                    End();
                }

                return ValueTask.CompletedTask;
            }
        }

        private void End()
        {
            _isEnded = true;
            log._rewrite = null;
        }
    }
}
