using System.Text;
using OrleansStreams.Records;

namespace OrleansStreams.Benchmarks.Paths;

/// <summary>The records that every path is measured with: 1,000 keys, event times that advance by 1 ms per record.</summary>
internal static class Workload
{
    public const int Keys = 1_000;
    public const long FirstTimestamp = 1_700_000_000_000;
    public const long WindowMs = 10_000;

    private static readonly byte[][] KeyBytes = [.. Enumerable.Range(0, Keys).Select(key => Encoding.UTF8.GetBytes($"key-{key:D4}"))];

    public static byte[] Key(long record) => KeyBytes[record * 7919 % Keys];

    public static byte[] Value(int bytes)
    {
        var value = new byte[bytes];
        new Random(1).NextBytes(value);
        return value;
    }

    /// <summary>Record batches of about <paramref name="batchBytes"/> holding <paramref name="records"/> records.</summary>
    public static List<byte[]> Batches(long records, int valueBytes, int batchBytes = 256 * 1024)
    {
        var value = Value(valueBytes);
        var builder = new RecordBatchBuilder(initialBytes: batchBytes + 4096);
        var batches = new List<byte[]>();
        for (long record = 0; record < records; record++)
        {
            builder.Append(FirstTimestamp + record, Key(record), false, value, false);
            if (builder.SizeBytes >= batchBytes || record == records - 1)
            {
                batches.Add(builder.Build());
            }
        }

        return batches;
    }
}
