using System.Runtime.InteropServices;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Records;
using OrleansStreams.Storage;

namespace OrleansStreams.Benchmarks.Paths;

/// <summary>What the machine gives to a plain loop over the same data: the bounds that our paths are set beside.</summary>
internal static class RawBounds
{
    // Few enough flushes that they cost little, often enough that the disk never idles for long.
    private const long FlushBytes = 4 * 1024 * 1024;

    /// <summary>Writes ready batches to one file, flushing every 4 MiB unless the operating system is to decide.</summary>
    public static Cost Append(string folder, IReadOnlyList<byte[]> batches, long records, FlushMode flush)
    {
        var path = Path.Combine(folder, "raw.log");
        using var file = File.OpenHandle(path, FileMode.Create, FileAccess.Write, FileShare.None, FileOptions.DeleteOnClose);
        return Cost.Of(records, () =>
        {
            long position = 0;
            long flushed = 0;
            foreach (var batch in batches)
            {
                RandomAccess.Write(file, batch, position);
                position += batch.Length;
                if (flush == FlushMode.Always && position - flushed >= FlushBytes)
                {
                    RandomAccess.FlushToDisk(file);
                    flushed = position;
                }
            }

            if (flush == FlushMode.Always)
            {
                RandomAccess.FlushToDisk(file);
            }
        });
    }

    /// <summary>Steps through every record of the batches and touches key and value.</summary>
    public static Cost Decode(IReadOnlyList<byte[]> batches, long records) => Cost.Of(records, () =>
    {
        long touched = 0;
        foreach (var batch in batches)
        {
            var reader = new RecordBatchReader(batch);
            while (reader.TryRead(out var record))
            {
                touched += record.Key[0] + record.Value.Length;
            }
        }

        GC.KeepAlive(touched);
    });

    /// <summary>Decodes the batches and counts by key and window in a dictionary.</summary>
    public static Cost CountByKeyAndWindow(IReadOnlyList<byte[]> batches, long records) => Cost.Of(records, () =>
    {
        var counts = new Dictionary<(ulong Key, long Window), long>();
        foreach (var batch in batches)
        {
            var reader = new RecordBatchReader(batch);
            while (reader.TryRead(out var record))
            {
                var key = MemoryMarshal.Read<ulong>(record.Key);
                CollectionsMarshal.GetValueRefOrAddDefault(counts, (key, record.Timestamp / Workload.WindowMs), out _)++;
            }
        }
    });
}
