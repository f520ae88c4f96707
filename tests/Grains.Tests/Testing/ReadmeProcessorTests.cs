using System.Runtime.CompilerServices;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Testing;

/// <summary>The processor of the DSL's README stands here too, compiled and run.</summary>
public sealed class ReadmeProcessorTests
{
    [Fact]
    public void Carts_are_ordered_or_abandoned_after_half_an_hour()
    {
        EveryCrash.Run(Describe, Steps(), Read).ShouldBe(["orders: ann book,pens", "abandoned: bob lamp"]);
    }

    [Fact]
    public void The_README_has_the_same_words()
    {
        var readme = File.ReadAllText(Path.Combine(Path.GetDirectoryName(Here())!, "../../../Grains.Interfaces/Topologies/README.md"));
        var block = readme.Split("```csharp").Select(part => part.Split("```")[0]).Single(part => part.Contains("class Carts", StringComparison.Ordinal));
        var code = Words(File.ReadAllText(Here()));
        foreach (var part in block.Split("\n\n", 2))
        {
            code.ShouldContain(Words(part));
        }
    }

    private static string Here([CallerFilePath] string path = "") => path;

    private static string Words(string text) => string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));

    private static StreamsBuilder Describe()
    {
        var builder = new StreamsBuilder();
        var clicks = builder.Stream("clicks", Consumed.With(Serdes.Utf8, Serdes.Json<Click>()));
        var open = Stores.Timed("open-carts", Serdes.Utf8, Serdes.Json<Cart>());
        var carts = clicks.Process(() => new Carts(open), Processed.With(open).KeepsKey());
        carts.Child("ordered").To("orders", Produced.With(Serdes.Utf8, Serdes.Json<Cart>()));
        carts.Child("abandoned").To("abandoned", Produced.With(Serdes.Utf8, Serdes.Json<Cart>()));
        return builder;
    }

    private static List<Action<TopologyTestDriver>> Steps()
    {
        (string User, Click Click, int Minute)[] clicks =
        [
            ("ann", new Click("book", false), 0),
            ("bob", new Click("lamp", false), 5),
            ("ann", new Click("pens", false), 25),
            ("ann", new Click("", true), 40),
            ("eve", new Click("rope", false), 41),
        ];
        return [.. clicks.Select(step => (Action<TopologyTestDriver>)(driver =>
            driver.CreateInput("clicks", Serdes.Utf8, Serdes.Json<Click>()).Pipe(step.User, step.Click, step.Minute * 60_000)))];
    }

    private static IEnumerable<string> Read(TopologyTestDriver driver) => ((string[])["orders", "abandoned"]).SelectMany(topic =>
        driver.CreateOutput(topic, Serdes.Utf8, Serdes.Json<Cart>()).ReadAll().Select(record => $"{topic}: {record.Key} {string.Join(',', record.Value!.Items)}"));

    internal sealed record Click(string Item, bool IsOrder);

    internal sealed record Cart(string[] Items);

    internal sealed class Carts(TimedStoreDefinition<string, Cart> definition) : IStreamProcessor<string, Click, string, Cart>
    {
        private IProcessorContext<string, Cart> _context = null!;
        private ITimedState<string, Cart> _open = null!;

        public void Init(IProcessorContext<string, Cart> context)
        {
            (_context, _open) = (context, context.GetStore(definition));
            context.Schedule(TimeSpan.FromMinutes(1), PunctuationType.EventTime, time =>
            {
                foreach (var (user, _, _, cart) in _open.TakeEnded(time))
                {
                    context.Forward(new(user, cart, time), "abandoned");
                }
            });
        }

        public void Process(ProcessorRecord<string, Click> record)
        {
            var cart = new Cart([]);
            foreach (var (user, start, end, items) in _open.Range(record.Key))
            {
                _open.Delete(user, start, end);
                cart = items;
            }

            if (record.Value.IsOrder)
            {
                _context.Forward(record.WithValue(cart), "ordered");
            }
            else
            {
                _open.Put(record.Key, record.TimestampMs, record.TimestampMs + 30 * 60_000, new Cart([.. cart.Items, record.Value.Item]));
            }
        }
    }
}
