using OrleansStreams.Records;

namespace OrleansStreams.Storage.Files;

/// <content>
/// Ending segments, and replacing closed ones. New batches go to a file of their own on a reader's thread, so that appends go on; only the short
/// change of files is the writer step's business. <see cref="SegmentSwap"/> tells what lies on the disk at each step.
/// </content>
internal sealed partial class FileLog
{
    private Rewrite? _rewrite;

    // Guarded by _gate. What the cache holds of offsets below is no longer what the segments hold.
    private long _rewrittenEndOffset;

    public ValueTask RollAsync(CancellationToken cancellationToken = default) => RunControlAsync(() =>
    {
        if (Active.Bytes > 0)
        {
            FlushWritten();
            Roll();
        }
    });

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

            rewrite = _rewrite = new Rewrite(this, new RewriteRange(Id, fromOffset, endOffset, _segments.ConvertAll(segment => segment.Info)));
        }

        try
        {
            // In the writer's turn, so that a log which is fenced meanwhile never touches a file of its successor.
            await RunControlAsync(rewrite.CreateFile);
            return rewrite;
        }
        catch
        {
            await rewrite.DisposeAsync();
            throw;
        }
    }

    /// <summary>The writer's turn: makes a complete file take the place of segments; false when they are not there any more.</summary>
    private bool CommitRewrite(RewriteRange range, Func<LogSegment> take)
    {
        (int Index, int Count)? found;
        lock (_gate)
        {
            found = RewriteRange.Find(_segments.ConvertAll(segment => segment.Info), range.FromOffset, range.EndOffset);
        }

        if (found is null)
        {
            return false;
        }

        SegmentSwap.Prepare(_shared.Files, _folder, range.FromOffset, range.EndOffset);
        try
        {
            // Here recovery may find the new file already: from now on there is no way back, and a failure is final.
            _shared.Files.FlushDirectory(_folder);
            var replacement = take();
            List<LogSegment> replaced;
            lock (_gate)
            {
                replaced = _segments.GetRange(found.Value.Index, found.Value.Count);
                _segments.RemoveRange(found.Value.Index, found.Value.Count);
                _segments.Insert(found.Value.Index, replacement);
                _rewrittenEndOffset = Math.Max(_rewrittenEndOffset, range.EndOffset);
            }

            // Readers that are at one of them begin again with the new one, which is open already.
            replaced.ForEach(segment => segment.Dispose());
            SegmentSwap.Finish(_shared.Files, _folder, range.FromOffset, range.EndOffset);
            Settle(replacement);
            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            Fail(exception);
            throw LogRules.Failed(Id, WriteOutcome.Unknown, exception);
        }
    }

    private void Settle(LogSegment replacement)
    {
        try
        {
            replacement.Settle();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // It stays in memory; the next opening makes the file anew.
            _shared.Logger.IndexNotWritten(Id, replacement.BaseOffset, exception);
        }
    }

    private sealed class Rewrite(FileLog log, RewriteRange range) : ILogRewrite
    {
        private readonly SegmentIndex _index = new(range.FromOffset);
        private IStorageFile? _file;
        private DurableMark _mark = new(0, range.FromOffset, long.MinValue);
        private bool _isCommitted;
        private bool _isEnded;

        public long FromOffset => range.FromOffset;

        public long EndOffset => range.EndOffset;

        public long NextOffset => range.NextOffset;

        public void CreateFile() =>
            _file = log._shared.Files.Open(SegmentSwap.CleanedFile(log._folder, FromOffset, EndOffset), FileOpening.Create);

        public ValueTask AppendAsync(ReadOnlyMemory<byte> batches)
        {
            CheckOpen();
            range.Add(batches.Span);
            return batches.IsEmpty ? ValueTask.CompletedTask : BesideTheWriterAsync(() => Write(batches));
        }

        public async ValueTask<bool> CommitAsync(CancellationToken cancellationToken = default)
        {
            CheckOpen();
            range.CheckComplete();
            await BesideTheWriterAsync(_file!.Flush);
            var isReplaced = false;
            await log.RunControlAsync(() => isReplaced = log.CommitRewrite(range, TakeSegment));
            return isReplaced;
        }

        public async ValueTask DisposeAsync()
        {
            if (_isEnded)
            {
                return;
            }

            _isEnded = true;
            try
            {
                if (!_isCommitted && _file is not null)
                {
                    _file.Dispose();
                    await log.RunControlAsync(() => SegmentSwap.Drop(log._shared.Files, log._folder, FromOffset, EndOffset));
                }
            }
            catch (StreamsException)
            {
                // Left over; the next opening removes it.
            }
            finally
            {
                lock (log._gate)
                {
                    log._rewrite = null;
                }
            }
        }

        private LogSegment TakeSegment()
        {
            _isCommitted = true;
            return LogSegment.Rewritten(log._shared.Handles, log._folder, FromOffset, _mark, _index, _file!);
        }

        private void CheckOpen()
        {
            ObjectDisposedException.ThrowIf(_isEnded || _isCommitted, this);
            lock (log._gate)
            {
                log.CheckUsable();
            }
        }

        private void Write(ReadOnlyMemory<byte> batches)
        {
            _file!.Write(_mark.Position, [batches]);
            var (position, endOffset, maxTimestamp) = _mark;
            var lastEntry = _index.Last.Position;
            for (var rest = batches.Span; !rest.IsEmpty;)
            {
                var header = RecordBatchHeader.Read(rest);
                if (position - lastEntry >= log._options.IndexIntervalBytes)
                {
                    _index.Add(new IndexEntry(header.BaseOffset, position, maxTimestamp));
                    lastEntry = position;
                }

                position += header.TotalBytes;
                endOffset = header.NextOffset;
                maxTimestamp = Math.Max(maxTimestamp, header.MaxTimestamp);
                rest = rest[header.TotalBytes..];
            }

            _mark = new DurableMark(position, endOffset, maxTimestamp);
        }

        private async ValueTask BesideTheWriterAsync(Action action)
        {
            try
            {
                await log._shared.Readers.RunAsync(() =>
                {
                    action();
                    return true;
                });
            }
            catch (DiskFullException exception)
            {
                throw LogRules.DiskFull(log.Id, exception);
            }
            catch (ObjectDisposedException)
            {
                throw LogRules.Closed(log.Id);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                throw LogRules.Failed(log.Id, WriteOutcome.NotWritten, exception);
            }
        }
    }
}
