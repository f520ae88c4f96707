using OrleansStreams.Records;

namespace OrleansStreams.Nexmark.Queries;

/// <summary>Results that can be compared: how often each came, or the last value of each key.</summary>
internal sealed class ResultSet(bool isTable)
{
    private readonly Dictionary<string, string> _table = [];
    private readonly Dictionary<string, int> _counts = [];

    /// <summary>Results that came, each update of a table's key counted.</summary>
    public long Records { get; private set; }

    /// <summary>What is compared: keys, or different results.</summary>
    public int Count => isTable ? _table.Count : _counts.Count;

    public void Add(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        Records++;
        var (keyText, valueText) = (Convert.ToHexString(key), Convert.ToHexString(value));
        if (isTable)
        {
            _table[keyText] = valueText;
            return;
        }

        var result = $"{keyText} {valueText}";
        _counts[result] = _counts.GetValueOrDefault(result) + 1;
    }

    /// <summary>Adds the records of whole batches; control batches have none.</summary>
    public void Add(ReadOnlyMemory<byte> batches)
    {
        while (!batches.IsEmpty)
        {
            var reader = new RecordBatchReader(batches);
            while (!reader.Header.IsControl && reader.TryRead(out var record))
            {
                Add(record.Key, record.Value);
            }

            batches = batches[reader.Header.TotalBytes..];
        }
    }

    /// <summary>What differs, for people; null when nothing does.</summary>
    public string? DifferenceFrom(ResultSet expected)
    {
        var (ours, theirs) = (Lines(), expected.Lines());
        var missing = theirs.Except(ours).ToArray();
        var superfluous = ours.Except(theirs).ToArray();
        return missing.Length + superfluous.Length == 0
            ? null
            : $"{missing.Length} of {theirs.Count} results are missing (first: {missing.FirstOrDefault()}), {superfluous.Length} are wrong (first: {superfluous.FirstOrDefault()})";
    }

    private HashSet<string> Lines() => isTable ? [.. _table.Select(row => $"{row.Key} = {row.Value}")] : [.. _counts.Select(result => $"{result.Key} x {result.Value}")];
}
