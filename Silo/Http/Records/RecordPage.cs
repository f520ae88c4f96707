using OrleansStreams.Records;

namespace OrleansStreams.Silo.Http.Records;

/// <summary>Steps through the records of fetched batches; control batches are never shown.</summary>
internal static class RecordPage
{
    /// <summary>Sees one record, and says whether it wants the next one.</summary>
    public delegate bool RecordAction(in RecordView record);

    /// <summary>Shows the records from an offset on, at most so many of them.</summary>
    /// <returns>How many were shown, and the offset to go on with.</returns>
    public static (int Count, long NextOffset) Visit(ReadOnlyMemory<byte> batches, long fromOffset, int limit, RecordAction action)
    {
        var count = 0;
        var next = fromOffset;
        while (!batches.IsEmpty)
        {
            var code = RecordBatch.TryReadHeader(batches.Span, out var header);
            if (code != StreamsErrorCode.None)
            {
                throw new StreamsException(code, $"The record batch from offset {next} on cannot be read; its partition's data is damaged.");
            }

            if (!header.IsControl && header.NextOffset > fromOffset)
            {
                var reader = new RecordBatchReader(batches[..header.TotalBytes]);
                while (reader.TryRead(out var record))
                {
                    if (record.Offset < fromOffset)
                    {
                        continue;
                    }

                    if (count == limit)
                    {
                        return (count, next);
                    }

                    var goesOn = action(in record);
                    count++;
                    next = record.Offset + 1;
                    if (!goesOn)
                    {
                        return (count, next);
                    }
                }
            }

            next = Math.Max(next, header.NextOffset);
            batches = batches[header.TotalBytes..];
        }

        return (count, next);
    }
}
