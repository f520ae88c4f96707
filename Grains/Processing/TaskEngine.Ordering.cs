using OrleansStreams.Records;

namespace OrleansStreams.Processing;

/// <summary>
/// Reading several inputs in order of event times, record by record: who runs the engine asks for the next time of each and processes the earliest up to the next one's. What is chosen depends
/// on nothing but the inputs' next records, so that neither the cut of batches nor a crash between any two of them makes a difference.
/// </summary>
internal sealed partial class TaskEngine
{
    private readonly OpenBatch?[] _open;

    /// <summary>The event time of the next record of a batch; long.MinValue when what comes next belongs before everything: a marker, a record without a time, the end of the batch.</summary>
    /// <exception cref="StreamsException">CorruptBatch.</exception>
    public long NextTime(int input, ReadOnlyMemory<byte> batch) => Open(input, batch).NextTime;

    /// <summary>Processes a batch up to the first record that is later than a time. False when there is one: the rest is for later.</summary>
    /// <exception cref="StreamsException">As <see cref="ProcessBatch(int, ReadOnlyMemory{byte})"/>.</exception>
    /// <exception cref="PoisonRecordException">A record is to be taken out by a new engine.</exception>
    public bool ProcessUntil(int input, ReadOnlyMemory<byte> batch, long last)
    {
        var open = Open(input, batch);
        var reader = new RecordBatchReader(open.Header, open.Records, open.Position);
        if (ProcessBatch(input, batch, ref reader, last))
        {
            _open[input] = null;
            return true;
        }

        open.Position = reader.Position;
        Look(input, open);
        return false;
    }

    private OpenBatch Open(int input, ReadOnlyMemory<byte> batch)
    {
        if (_open[input] is { } found && found.Batch.Equals(batch))
        {
            return found;
        }

        var reader = new RecordBatchReader(batch);
        var open = new OpenBatch(batch, reader.Header, reader.Records);
        Look(input, open);
        return _open[input] = open;
    }

    /// <summary>Finds the next record that is not processed yet.</summary>
    private void Look(int input, OpenBatch open)
    {
        var reader = new RecordBatchReader(open.Header, open.Records, open.Position);
        open.NextTime = long.MinValue;
        while (!open.Header.IsControl && reader.TryRead(out var record))
        {
            if (record.Offset >= _state.Positions[input])
            {
                // Its offset is where a restart goes on.
                _state.Positions[input] = Math.Min(record.Offset, _plan.EndOffsetOf(input));
                open.NextTime = TimeOf(input, record);
                return;
            }

            open.Position = reader.Position;
        }
    }

    /// <summary>Whether the next record is later than a time.</summary>
    private bool IsLater(int input, RecordBatchReader reader, long last) => reader.TryRead(out var record) && TimeOf(input, record) > last;

    private long TimeOf(int input, in RecordView record) => record.Offset >= _plan.EndOffsetOf(input) ? long.MinValue : _sources[input].PeekTime(record);

    private sealed class OpenBatch(ReadOnlyMemory<byte> batch, RecordBatchHeader header, ReadOnlyMemory<byte> records)
    {
        public ReadOnlyMemory<byte> Batch => batch;

        public RecordBatchHeader Header => header;

        public ReadOnlyMemory<byte> Records => records;

        /// <summary>Before the next record that is not processed.</summary>
        public RecordBatchPosition Position { get; set; } = new(0, 0, -1);

        public long NextTime { get; set; }
    }
}
