namespace OrleansStreams.Processing.RandomTopologies;

/// <summary>What a model knows of a stream: what is the same however the engine takes its input.</summary>
internal abstract record Known
{
    /// <summary>Checks what the engine has written; the records of a key in the order in which they stand in its partition.</summary>
    public abstract void Check(IReadOnlyList<ModelRecord> written, string what);

    protected static string[] Sorted(IEnumerable<string> texts) => [.. texts.Order(StringComparer.Ordinal)];
}

/// <summary>All records, and whether those of a key always come in this order.</summary>
internal sealed record Exact(IReadOnlyList<ModelRecord> Records, bool IsOrdered) : Known
{
    public override void Check(IReadOnlyList<ModelRecord> written, string what)
    {
        Sorted(written.Select(record => record.ToString())).ShouldBe(Sorted(Records.Select(record => record.ToString())), what);
        if (IsOrdered)
        {
            InOrder(written).ShouldBe(InOrder(Records), what);
        }
    }

    private static string[] InOrder(IEnumerable<ModelRecord> records) =>
        Sorted(records.GroupBy(record => record.Key).Select(key => string.Join(' ', key)));
}

/// <summary>
/// The last value of each key. Which ones come before it follows from the interleaving of what the stream is made of: a table of several inputs, windows that are emitted before they close.
/// </summary>
internal sealed record Changelog(IReadOnlyDictionary<string, string> Final) : Known
{
    public override void Check(IReadOnlyList<ModelRecord> written, string what)
    {
        var last = new Dictionary<string, string>();
        foreach (var record in written)
        {
            (record.Value is null && !last.ContainsKey(record.Key)).ShouldBeFalse($"{record} deletes what is not there: {what}");
            last.Remove(record.Key);
            if (record.Value is not null)
            {
                last.Add(record.Key, record.Value);
            }
        }

        Texts(last).ShouldBe(Texts(Final), what);
    }

    private static string[] Texts(IReadOnlyDictionary<string, string> values) => Sorted(values.Select(value => $"{value.Key}={value.Value}"));
}

/// <summary>
/// Records that were joined with a table as it was when they came, when that is chance: their values are "value|found". What is known is that each came once (inner joins: at most once), and met
/// a value that its key had at some time, or none.
/// </summary>
/// <param name="Records">What was joined.</param>
/// <param name="Ever">All values that each key ever has in the table; null when that is chance too.</param>
/// <param name="KeyOf">The key that a record looks up.</param>
/// <param name="IsLeft">Whether what finds nothing comes too.</param>
internal sealed record LookedUp(IReadOnlyList<ModelRecord> Records, ILookup<string, string>? Ever, Func<ModelRecord, string> KeyOf, bool IsLeft) : Known
{
    public override void Check(IReadOnlyList<ModelRecord> written, string what)
    {
        var rest = Records.Select(record => record.ToString()).ToList();
        foreach (var record in written)
        {
            var (value, found) = record.Value!.Split('|') is [var own, var other] ? (own, other) : (record.Value, string.Empty);
            var joined = record with { Value = value };
            rest.Remove(joined.ToString()).ShouldBeTrue($"{record} came from nothing, or twice: {what}");
            if (found == "_")
            {
                IsLeft.ShouldBeTrue($"{record} has found nothing: {what}");
            }
            else
            {
                Ever?[KeyOf(joined)].ShouldContain(found, what);
            }
        }

        if (IsLeft)
        {
            rest.ShouldBeEmpty(what);
        }
    }
}

/// <summary>What a model knows of a table.</summary>
/// <param name="Final">Its last values.</param>
/// <param name="Changes">Its changes, those of a key in order, with nulls for deletions; null when the interleaving decides what they are.</param>
internal sealed record KnownTable(IReadOnlyDictionary<string, string> Final, IReadOnlyList<ModelRecord>? Changes)
{
    public static KnownTable Of(IEnumerable<ModelRecord> changes)
    {
        var last = new Dictionary<string, string>();
        var told = new List<ModelRecord>();
        foreach (var change in changes)
        {
            var had = last.Remove(change.Key);
            if (change.Value is not null)
            {
                last.Add(change.Key, change.Value);
            }

            // What is not there is not deleted.
            if (had || change.Value is not null)
            {
                told.Add(change);
            }
        }

        return new KnownTable(last, told);
    }

    /// <summary>The values of another table that follows from this one by a function of each value; null is none.</summary>
    public KnownTable Mapped(Func<string, string, string?> mapper)
    {
        string? Of(string key, string? value) => value is null ? null : mapper(key, value);
        var final = Final.Select(pair => KeyValuePair.Create(pair.Key, Of(pair.Key, pair.Value))).Where(pair => pair.Value is not null).ToDictionary(pair => pair.Key, pair => pair.Value!);
        return Changes is null ? new KnownTable(final, null) : KnownTable.Of(Changes.Select(change => change with { Value = Of(change.Key, change.Value) }));
    }
}
