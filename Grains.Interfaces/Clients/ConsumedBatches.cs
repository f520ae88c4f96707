using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Clients;

/// <summary>
/// Record batches that were read, not decoded. The fastest way to read: <c>foreach (var record in batches.Records) { ... }</c> steps through the records in
/// place, without a copy or an allocation.
/// </summary>
/// <param name="Partition">Their partition.</param>
/// <param name="Batches">Whole batches back to back; never changed afterwards. The first may begin before <paramref name="FirstOffset"/>; control batches are among them.</param>
/// <param name="FirstOffset">The first offset that counts; records below it were read before.</param>
/// <param name="NextOffset">The offset after the last record.</param>
public readonly record struct ConsumedBatches(TopicPartition Partition, ReadOnlyMemory<byte> Batches, long FirstOffset, long NextOffset)
{
    /// <summary>The records that count, in place: checked, without control records. A view is good until the next step; its memory is never changed.</summary>
    /// <exception cref="StreamsException">CorruptBatch or UnsupportedCompressionType, while enumerating; the records before the damage come out first.</exception>
    public RecordViews Records => new(this);

    /// <summary>The batches one by one, as they are stored.</summary>
    public IEnumerable<ReadOnlyMemory<byte>> Split()
    {
        var rest = Batches;
        while (!rest.IsEmpty)
        {
            var length = RecordBatchHeader.Read(rest.Span).TotalBytes;
            yield return rest[..length];
            rest = rest[length..];
        }
    }
}

/// <summary>The records of <see cref="ConsumedBatches"/>, to be stepped through by <c>foreach</c>.</summary>
public readonly struct RecordViews
{
    private readonly ConsumedBatches _batches;

    internal RecordViews(in ConsumedBatches batches) => _batches = batches;

    /// <summary>Begins at the first record.</summary>
    public Enumerator GetEnumerator() => new(_batches);

    /// <summary>Steps through records without allocation (a compressed batch allocates its decompressed form once).</summary>
    public ref struct Enumerator
    {
        private readonly TopicPartition _partition;
        private readonly long _firstOffset;
        private ReadOnlyMemory<byte> _rest;
        private RecordBatchReader _reader;
        private RecordView _current;
        private bool _isOpen;

        internal Enumerator(ConsumedBatches batches)
        {
            _partition = batches.Partition;
            _firstOffset = batches.FirstOffset;
            _rest = batches.Batches;
        }

        /// <summary>The record.</summary>
        public readonly RecordView Current => _current;

        /// <summary>Goes to the next record; false at the end.</summary>
        /// <exception cref="StreamsException">CorruptBatch or UnsupportedCompressionType.</exception>
        public bool MoveNext()
        {
            while (_isOpen || !_rest.IsEmpty)
            {
                if (!_isOpen)
                {
                    OpenBatch();
                }
                else if (!_reader.TryRead(out _current))
                {
                    _isOpen = false;
                }
                else if (_current.Offset >= _firstOffset)
                {
                    return true;
                }
            }

            return false;
        }

        private void OpenBatch()
        {
            var code = RecordBatch.Validate(_rest.Span, out var header);
            if (code != StreamsErrorCode.None)
            {
                throw RecordBatch.Damaged(_partition, code, header);
            }

            if (!header.IsControl)
            {
                _reader = new RecordBatchReader(_rest);
                _isOpen = true;
            }

            _rest = _rest[header.TotalBytes..];
        }
    }
}
