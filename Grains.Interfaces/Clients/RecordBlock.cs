using System.Runtime.ExceptionServices;
using OrleansStreams.Records;

namespace OrleansStreams.Clients;

/// <summary>A record as the application's types.</summary>
internal struct DecodedRecord<TKey, TValue>
{
    public long Offset;
    public long Timestamp;
    public TKey? Key;
    public TValue? Value;
    public LazyHeaders? Headers;
}

/// <summary>
/// A chunk's records, decoded block by block into the same slots. A failure comes out when the records before it have been handed out.
/// A chunk's memory is given back when the block is done with it: deserializers see it as spans, which they cannot keep. Only headers, which are decoded
/// when somebody looks at them, keep it; the memory of a chunk that has any is left to the collector.
/// </summary>
internal sealed class RecordBlock<TKey, TValue>(IDeserializer<TKey> keyDeserializer, IDeserializer<TValue> valueDeserializer)
{
    private const int RecordsMax = 128;

    private readonly DecodedRecord<TKey, TValue>[] _records = new DecodedRecord<TKey, TValue>[RecordsMax];
    private FetchedChunk? _chunk;
    private ReadOnlyMemory<byte> _batches;
    private RecordBatchHeader _header;
    private ReadOnlyMemory<byte> _batchRecords;
    private RecordBatchPosition _position;
    private bool _isBatchOpen;
    private bool _isKept;
    private ExceptionDispatchInfo? _failure;

    /// <summary>Records in the block.</summary>
    public int Count { get; private set; }

    /// <summary>A record of the block.</summary>
    public ref readonly DecodedRecord<TKey, TValue> this[int index] => ref _records[index];

    /// <summary>Begins a chunk; the block is empty.</summary>
    public void Open(FetchedChunk chunk)
    {
        LetGo();
        _chunk = chunk;
        _batches = chunk.Batches;
        _failure = null;
        Count = 0;
    }

    /// <summary>Decodes the next block; false at the end of the chunk.</summary>
    /// <exception cref="StreamsException">SerializationFailed, CorruptBatch, UnsupportedCompressionType: what the next record is.</exception>
    public bool ReadNext()
    {
        Count = 0;
        while (Count == 0)
        {
            _failure?.Throw();
            if (!_isBatchOpen && _batches.IsEmpty)
            {
                LetGo();
                return false;
            }

            var offset = _chunk!.FirstOffset;
            try
            {
                if (!_isBatchOpen)
                {
                    OpenBatch();
                }
                else
                {
                    Decode(ref offset);
                }
            }
            catch (StreamsException error)
            {
                _failure = ExceptionDispatchInfo.Capture(error.Code != StreamsErrorCode.SerializationFailed ? error : new StreamsException(
                    error.Code, $"{_chunk.From!.Partition} at offset {offset}: {error.Message}; seek to {offset + 1} to skip the record", inner: error));
            }
        }

        return true;
    }

    /// <summary>Lets go of everything.</summary>
    public void Clear()
    {
        LetGo();
        Count = 0;
        Array.Clear(_records);
    }

    /// <summary>Done with the chunk, perhaps before its end.</summary>
    private void LetGo()
    {
        _batches = default;
        _batchRecords = default;
        _isBatchOpen = false;
        if (!_isKept)
        {
            _chunk?.Release();
        }

        _chunk = null;
        _isKept = false;
    }

    private void OpenBatch()
    {
        var code = RecordBatch.Validate(_batches.Span, out _header);
        if (code != StreamsErrorCode.None)
        {
            throw RecordBatch.Damaged(_chunk!.From!.Partition, code, _header);
        }

        var batch = _batches[.._header.TotalBytes];
        _batches = _batches[_header.TotalBytes..];
        if (!_header.IsControl)
        {
            var reader = new RecordBatchReader(batch);
            _batchRecords = reader.Records;
            _position = reader.Position;
            _isBatchOpen = true;
        }
    }

    private void Decode(ref long offset)
    {
        var reader = new RecordBatchReader(_header, _batchRecords, _position);
        var first = _chunk!.FirstOffset;
        var records = _records;
        var count = 0;
        try
        {
            while (count < records.Length)
            {
                if (!reader.TryRead(out var record))
                {
                    _isBatchOpen = false;
                    return;
                }

                offset = record.Offset;
                if (offset < first)
                {
                    continue;
                }

                ref var slot = ref records[count];
                slot.Offset = offset;
                slot.Timestamp = record.Timestamp;
                slot.Key = record.KeyIsNull ? default : keyDeserializer.Deserialize(record.Key);
                slot.Value = record.ValueIsNull ? default : valueDeserializer.Deserialize(record.Value);
                if (record.HeaderCount != 0 || slot.Headers is not null)
                {
                    slot.Headers = record.GetLazyHeaders();
                    _isKept |= record.HeaderCount != 0;
                }

                count++;
            }
        }
        finally
        {
            _position = reader.Position;
            Count = count;
        }
    }
}
