using System.Globalization;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.RandomTopologies;

/// <summary>Lets records pass, sums them up by key and time in a store, and tells a sum, once, when the watermark has come to its end.</summary>
internal sealed class Summing(KeyValueStoreDefinition<string, string> definition, int sizeMs) : IStreamProcessor<string, string, string, string>
{
    public const string Passed = "passed";
    public const string Told = "told";

    private IProcessorContext<string, string> _context = null!;
    private IKeyValueState<string, string> _sums = null!;

    /// <summary>The key of the sum that a record belongs to.</summary>
    public static string NameOf(string key, long time, int sizeMs)
    {
        var end = (long)(Math.Floor((double)time / sizeMs) + 1) * sizeMs;
        return string.Create(CultureInfo.InvariantCulture, $"{key}@{end}");
    }

    public void Init(IProcessorContext<string, string> context)
    {
        (_context, _sums) = (context, context.GetStore(definition));
        context.Schedule(TimeSpan.FromMilliseconds(sizeMs), PunctuationType.EventTime, Tell);
    }

    public void Process(ProcessorRecord<string, string> record)
    {
        var name = NameOf(record.Key, record.TimestampMs, sizeMs);
        _sums.Put(name, Functions.Sum(_sums.TryGet(name, out var sum) ? sum : "0", record.Value));
        _context.Forward(record, Passed);
    }

    private void Tell(long time)
    {
        foreach (var (name, sum) in _sums.All().ToList())
        {
            if (long.Parse(name[(name.LastIndexOf('@') + 1)..], CultureInfo.InvariantCulture) <= time)
            {
                _sums.Delete(name);
                _context.Forward(new(name, sum, time), Told);
            }
        }
    }
}
