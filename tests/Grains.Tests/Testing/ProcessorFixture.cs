using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Testing;

/// <summary>A processor of two functions over texts.</summary>
internal sealed class TextProcessor(
    Action<IProcessorContext<string, string>> init, Action<IProcessorContext<string, string>, ProcessorRecord<string, string>> process) : IStreamProcessor<string, string, string, string>
{
    private IProcessorContext<string, string> _context = null!;

    public void Init(IProcessorContext<string, string> context)
    {
        _context = context;
        init(context);
    }

    public void Process(ProcessorRecord<string, string> record) => process(_context, record);
}

/// <summary>Topologies and scripts of texts. Steps of a script: key=value@time is a record (key and value may be left out, - is null), or end for the end of the input.</summary>
internal static class ProcessorFixture
{
    public static readonly Consumed<string, string> Texts = Consumed.With(Serdes.Utf8, Serdes.Utf8);
    public static readonly Produced<string, string> ToTexts = Produced.With(Serdes.Utf8, Serdes.Utf8);

    /// <summary>Source, processor, sink.</summary>
    public static StreamsBuilder Through(
        Action<IProcessorContext<string, string>> init, Action<IProcessorContext<string, string>, ProcessorRecord<string, string>> process, params StoreDefinition[] stores)
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", Texts).Process(() => new TextProcessor(init, process), Processed.With(stores).WithName("step")).To("out", ToTexts);
        return builder;
    }

    public static Action<TopologyTestDriver>[] Script(string script) => [.. script.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(Step)];

    public static TopologyTestDriver Run(StreamsBuilder builder, string script, TopologyTestDriverOptions? options = null)
    {
        var driver = new TopologyTestDriver(builder.Build(), options);
        foreach (var step in Script(script))
        {
            step(driver);
        }

        return driver;
    }

    /// <summary>The records of a topic, as key=value@time; - is a null value.</summary>
    public static IEnumerable<string> Read(TopologyTestDriver driver, string topic = "out") =>
        driver.CreateOutput(topic, Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => $"{record.Key}={record.Value ?? "-"}@{record.Timestamp}");

    private static Action<TopologyTestDriver> Step(string step)
    {
        if (step == "end")
        {
            return driver => driver.CloseInputs();
        }

        var (rest, time) = (step.Split('@')[0], long.Parse(step.Split('@')[1], System.Globalization.CultureInfo.InvariantCulture));
        var (key, value) = rest.Contains('=', StringComparison.Ordinal) ? (rest.Split('=')[0], rest.Split('=')[1]) : ("k", rest);
        return driver => driver.CreateInput("in", Serdes.Utf8, Serdes.Utf8).Pipe(key == "-" ? null : key, value == "-" ? null : value, time);
    }
}
