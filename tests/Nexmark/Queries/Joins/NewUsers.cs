using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Joins;

/// <summary>What became of a person within a window.</summary>
/// <param name="Registered">1 when the person came.</param>
/// <param name="Auctions">Auctions that the person began.</param>
internal readonly record struct Activity(long Registered, long Auctions);

/// <summary>Query 8: who has registered and begun an auction within the same ten seconds. Both kinds of events meet in one aggregate by person and window, so that neither is kept beside the other.</summary>
internal sealed class NewUsers() : NexmarkQuery<long, Row<long>>("q8", EventParts.Auctions | EventParts.Persons, Serdes.Int64, new RowSerde<long>("new-user"))
{
    private const long WindowMs = 10_000;

    private static readonly RowSerde<Activity> s_activities = new("activity");

    protected override KStream<long, Row<long>> Results(KStream<long, Event> events) => events
        .Filter((_, item) => item.Kind != EventKind.Bid)
        .Map((_, item) => item.Kind == EventKind.Person
            ? (item.Person!.Id, new Row<Activity>(new(1, 0), item.Person.Texts.Only(Person.Name)))
            : (item.Auction!.Seller, new Row<Activity>(new(0, 1), default)))
        .GroupByKey(Grouped.With(Serdes.Int64, s_activities).WithName("persons"))
        .WindowedBy(TumblingWindows.Of(TenSeconds))
        .Reduce(Add, Materialized.As("activities", s_activities))
        .Filter((_, activity) => activity.Numbers is { Registered: > 0, Auctions: > 0 })
        .Map((window, activity) => (window.Key, new Row<long>(window.WindowStartMs, activity.Texts)));

    protected override IEnumerable<(long Key, Row<long> Value)> Model(IReadOnlyList<Event> events)
    {
        var auctions = events.Auctions().ToArray();
        return from person in events.Persons()
               let start = person.Time / 10_000 * 10_000
               where auctions.Any(auction => auction.Seller == person.Id && auction.Time >= start && auction.Time < start + 10_000)
               select (person.Id, new Row<long>(start, Texts.Of(person.Texts.Text(Person.Name))));
    }

    protected override HandLoop<long, Row<long>> Loop() => new ByHand();

    private static Row<Activity> Add(Row<Activity> one, Row<Activity> other) => new(
        new(one.Numbers.Registered + other.Numbers.Registered, one.Numbers.Auctions + other.Numbers.Auctions), one.Texts.IsEmpty ? other.Texts : one.Texts);

    private sealed class ByHand : HandLoop<long, Row<long>>
    {
        private readonly Dictionary<long, Texts> _names = [];
        private readonly HashSet<long> _sellers = [];
        private long _start;

        protected override void Take(in Event item, long time)
        {
            if (item.Kind == EventKind.Bid)
            {
                return;
            }

            if (time >= _start + WindowMs)
            {
                End();
                _start = time / WindowMs * WindowMs;
            }

            if (item.Kind == EventKind.Person)
            {
                _names.Add(item.Person!.Id, item.Person.Texts.Only(Person.Name));
            }
            else
            {
                _sellers.Add(item.Auction!.Seller);
            }
        }

        protected override void End()
        {
            foreach (var (id, name) in _names)
            {
                if (_sellers.Contains(id))
                {
                    Emit(_start + WindowMs - 1, id, new Row<long>(_start, name));
                }
            }

            _names.Clear();
            _sellers.Clear();
        }
    }
}
