namespace OrleansStreams.Processing.RandomTopologies;

/// <summary>A window and what lies in it, in the order of the input.</summary>
internal sealed record ModelWindow(string Key, long Start, long End, IReadOnlyList<ModelRecord> Records)
{
    public string Name => $"{Key}@{Start}-{End}";
}

/// <summary>Operators over whole lists of records, none of which is late. Written to be read, not to be fast.</summary>
internal static class Models
{
    /// <summary>Windows of a size that begin at every multiple of an advance: tumbling ones when both are the same.</summary>
    public static IEnumerable<ModelWindow> Hopping(IReadOnlyList<ModelRecord> records, long size, long advance)
    {
        var starts = records.SelectMany(record => Enumerable.Range(0, (int)size).Select(back => record.Time - back)).Where(start => start % advance == 0);
        return Windows(records, starts, size);
    }

    /// <summary>For each record the window that ends with it and the one that begins a ms after it, as far as they hold anything.</summary>
    public static IEnumerable<ModelWindow> Sliding(IReadOnlyList<ModelRecord> records, long difference) => records.GroupBy(record => record.Key).SelectMany(key =>
        Windows([.. key], key.SelectMany(record => (long[])[record.Time - difference, record.Time + 1]), difference + 1));

    /// <summary>Records of a key that are at most a gap from their neighbours.</summary>
    public static IEnumerable<ModelWindow> Sessions(IReadOnlyList<ModelRecord> records, long gap)
    {
        foreach (var key in records.GroupBy(record => record.Key))
        {
            var session = new List<ModelRecord>();
            foreach (var record in key.OrderBy(record => record.Time))
            {
                if (session.Count > 0 && record.Time - session[^1].Time > gap)
                {
                    yield return new ModelWindow(key.Key, session[0].Time, session[^1].Time + 1, session);
                    session = [];
                }

                session.Add(record);
            }

            yield return new ModelWindow(key.Key, session[0].Time, session[^1].Time + 1, session);
        }
    }

    /// <summary>Records that are further from all that have passed before them.</summary>
    public static IEnumerable<ModelRecord> Deduplicate(IReadOnlyList<ModelRecord> records, long size)
    {
        var passed = new List<ModelRecord>();
        foreach (var record in records)
        {
            if (passed.TrueForAll(other => other.Key != record.Key || Math.Abs(other.Time - record.Time) >= size))
            {
                passed.Add(record);
            }
        }

        return passed;
    }

    /// <summary>Each row with that of the key that it chooses in another table.</summary>
    public static KnownTable JoinByForeignKey(KnownTable left, KnownTable right, Func<string, string?> keyOf, bool isLeft) => new(
        left.Final.Select(row => (row.Key, row.Value, Other: keyOf(row.Value) is { } key ? right.Final.GetValueOrDefault(key) : null))
            .Where(row => isLeft || row.Other is not null).ToDictionary(row => row.Key, row => Functions.Joined(row.Value, row.Other)),
        null);

    /// <summary>Every left record with every right one of its key that is at least lower and at most upper ms later; then those that had no partner.</summary>
    public static IEnumerable<ModelRecord> Join(IReadOnlyList<ModelRecord> lefts, IReadOnlyList<ModelRecord> rights, long lower, long upper, bool keepsLeft, bool keepsRight)
    {
        bool Meet(ModelRecord left, ModelRecord right) => left.Key == right.Key && right.Time - left.Time >= lower && right.Time - left.Time <= upper;

        lefts = [.. lefts.Where(left => left.Value is not null)];
        rights = [.. rights.Where(right => right.Value is not null)];
        var pairs = from left in lefts
                    from right in rights
                    where Meet(left, right)
                    select new ModelRecord(left.Key, Functions.Joined(left.Value, right.Value), Math.Max(left.Time, right.Time));
        var lonelyLefts = lefts.Where(left => keepsLeft && !rights.Any(right => Meet(left, right))).Select(left => left with { Value = Functions.Joined(left.Value, null) });
        var lonelyRights = rights.Where(right => keepsRight && !lefts.Any(left => Meet(left, right))).Select(right => right with { Value = Functions.Joined(null, right.Value) });
        return pairs.Concat(lonelyLefts).Concat(lonelyRights);
    }

    /// <summary>The keys that both tables have, and those of the sides that are kept.</summary>
    public static KnownTable Join(KnownTable left, KnownTable right, bool needsLeft, bool needsRight) => new(
        left.Final.Keys.Union(right.Final.Keys)
            .Where(key => (!needsLeft || left.Final.ContainsKey(key)) && (!needsRight || right.Final.ContainsKey(key)))
            .ToDictionary(key => key, key => Functions.Joined(left.Final.GetValueOrDefault(key), right.Final.GetValueOrDefault(key))),
        null);

    private static IEnumerable<ModelWindow> Windows(IReadOnlyList<ModelRecord> records, IEnumerable<long> starts, long size) =>
        from start in starts.Distinct()
        from key in records.Where(record => record.Time >= start && record.Time < start + size).GroupBy(record => record.Key)
        select new ModelWindow(key.Key, start, start + size, [.. key]);
}
