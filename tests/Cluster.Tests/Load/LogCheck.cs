using System.Globalization;

namespace OrleansStreams.Cluster.Tests.Load;

/// <summary>A record of a partition.</summary>
internal readonly record struct Stored(int Partition, long Offset, string Value);

/// <summary>What is promised about a topic that idempotent producers wrote to, whatever happened meanwhile. Values are PRODUCER-NUMBER, numbered from 0 as they were sent.</summary>
internal static class LogCheck
{
    public static string ValueOf(int producer, long number) => string.Create(CultureInfo.InvariantCulture, $"{producer}-{number}");

    /// <summary>What is broken, a line each; nothing when all is well.</summary>
    /// <param name="log">All that the topic holds, each partition's records in the order in which they were read.</param>
    /// <param name="acknowledged">What the producers were told is stored, and where.</param>
    /// <param name="read">What members of the group have read, and where.</param>
    public static List<string> Violations(IReadOnlyList<Stored> log, IEnumerable<Stored> acknowledged, IEnumerable<Stored> read)
    {
        var broken = new List<string>();
        var there = new Dictionary<(int, long), string>();
        var places = new Dictionary<string, Stored>();
        var next = new Dictionary<int, long>();
        var numbers = new Dictionary<(int Partition, string Producer), long>();
        foreach (var record in log)
        {
            var expected = next.GetValueOrDefault(record.Partition);
            if (record.Offset != expected)
            {
                broken.Add($"partition {record.Partition} has offset {record.Offset} where {expected} is next");
            }

            next[record.Partition] = record.Offset + 1;
            there[(record.Partition, record.Offset)] = record.Value;
            if (!places.TryAdd(record.Value, record))
            {
                broken.Add($"{record.Value} stands twice: {places[record.Value]} and {record}");
            }

            var parts = record.Value.Split('-');
            var number = long.Parse(parts[1], CultureInfo.InvariantCulture);
            if (numbers.TryGetValue((record.Partition, parts[0]), out var before) && before >= number)
            {
                broken.Add($"producer {parts[0]}'s record {number} stands behind its record {before} in partition {record.Partition}");
            }

            numbers[(record.Partition, parts[0])] = number;
        }

        broken.AddRange(acknowledged.Where(record => !Stands(record)).Select(record => $"acknowledged, but not there: {record}"));
        broken.AddRange(read.Where(record => !Stands(record)).Select(record => $"read once, but not there: {record}"));
        return broken;

        bool Stands(Stored record) => there.GetValueOrDefault((record.Partition, record.Offset)) == record.Value;
    }
}
