using System.Diagnostics;
using System.Runtime.InteropServices;
using OrleansStreams.Records;

namespace OrleansStreams.Benchmarks.Paths;

/// <summary>What the machine gives to a plain loop over the same data: the bounds that our paths are set beside.</summary>
internal static class RawBounds
{
    /// <summary>Encodes batches with their CRC and writes them to one file, with a flush after every 16 batches; records/s.</summary>
    public static double EncodeAppendFlush(string folder, long records, int valueBytes)
    {
        var path = Path.Combine(folder, "raw.log");
        var value = Workload.Value(valueBytes);
        var builder = new RecordBatchBuilder(initialBytes: 300 * 1024);
        using var file = File.OpenHandle(path, FileMode.Create, FileAccess.Write, FileShare.None);
        var began = Stopwatch.GetTimestamp();
        long position = 0;
        var unflushed = 0;
        for (long record = 0; record < records; record++)
        {
            builder.Append(Workload.FirstTimestamp + record, Workload.Key(record), false, value, false);
            if (builder.SizeBytes < 256 * 1024 && record < records - 1)
            {
                continue;
            }

            var batch = builder.Build();
            RandomAccess.Write(file, batch, position);
            position += batch.Length;
            if (++unflushed == 16 || record == records - 1)
            {
                RandomAccess.FlushToDisk(file);
                unflushed = 0;
            }
        }

        var rate = records / Stopwatch.GetElapsedTime(began).TotalSeconds;
        file.Dispose();
        File.Delete(path);
        return rate;
    }

    /// <summary>Steps through every record of the batches and touches key and value; records/s.</summary>
    public static double Decode(IReadOnlyList<byte[]> batches)
    {
        var began = Stopwatch.GetTimestamp();
        long records = 0;
        long touched = 0;
        foreach (var batch in batches)
        {
            var reader = new RecordBatchReader(batch);
            while (reader.TryRead(out var record))
            {
                records++;
                touched += record.Key[0] + record.Value.Length;
            }
        }

        GC.KeepAlive(touched);
        return records / Stopwatch.GetElapsedTime(began).TotalSeconds;
    }

    /// <summary>Decodes the batches and counts by key and window in a dictionary; records/s.</summary>
    public static double CountByKeyAndWindow(IReadOnlyList<byte[]> batches)
    {
        var began = Stopwatch.GetTimestamp();
        var counts = new Dictionary<(ulong Key, long Window), long>();
        long records = 0;
        foreach (var batch in batches)
        {
            var reader = new RecordBatchReader(batch);
            while (reader.TryRead(out var record))
            {
                records++;
                var key = MemoryMarshal.Read<ulong>(record.Key);
                CollectionsMarshal.GetValueRefOrAddDefault(counts, (key, record.Timestamp / Workload.WindowMs), out _)++;
            }
        }

        return records / Stopwatch.GetElapsedTime(began).TotalSeconds;
    }
}
