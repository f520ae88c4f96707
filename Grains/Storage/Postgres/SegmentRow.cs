namespace OrleansStreams.Storage.Postgres;

/// <summary>A segment: a run of a log's rows. Closed ones are stored, the active one is counted when the log is opened.</summary>
/// <param name="BaseOffset">Where it begins.</param>
/// <param name="EndOffset">Where it ends.</param>
/// <param name="Bytes">Bytes of its batches.</param>
/// <param name="Batches">Their number.</param>
/// <param name="MaxTimestamp">Their largest timestamp; long.MinValue while it is empty.</param>
internal readonly record struct SegmentRow(long BaseOffset, long EndOffset, long Bytes, long Batches, long MaxTimestamp)
{
    public LogSegmentInfo Info => new(BaseOffset, EndOffset, Bytes, Batches == 0 ? -1 : MaxTimestamp);

    public static SegmentRow EmptyAt(long offset) => new(offset, offset, 0, 0, long.MinValue);

    /// <summary>With one more batch.</summary>
    public SegmentRow With(in BatchRow batch) =>
        new(BaseOffset, batch.EndOffset, Bytes + batch.Data.Length, Batches + 1, Math.Max(MaxTimestamp, batch.MaxTimestamp));
}

/// <summary>A row of the table of batches.</summary>
internal readonly record struct BatchRow(long BaseOffset, long EndOffset, long MaxTimestamp, int LeaderEpoch, ReadOnlyMemory<byte> Data)
{
    /// <summary>Splits stamped batches that lie back to back, and adds them to segments of at most <paramref name="segmentBytes"/> as far as they fit.</summary>
    /// <returns>The last segment; full ones go to <paramref name="closed"/>.</returns>
    public static SegmentRow Split(ReadOnlyMemory<byte> batches, List<BatchRow> rows, SegmentRow active, List<SegmentRow> closed, long segmentBytes)
    {
        while (!batches.IsEmpty)
        {
            var header = Records.RecordBatchHeader.Read(batches.Span);
            var row = new BatchRow(header.BaseOffset, header.NextOffset, header.MaxTimestamp, header.LeaderEpoch, batches[..header.TotalBytes]);
            if (active.Batches > 0 && active.Bytes + row.Data.Length > segmentBytes)
            {
                closed.Add(active);
                active = SegmentRow.EmptyAt(active.EndOffset);
            }

            rows.Add(row);
            active = active.With(row);
            batches = batches[header.TotalBytes..];
        }

        return active;
    }
}
