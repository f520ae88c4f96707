using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Joins;

/// <summary>
/// Query 3: who sells in Oregon, Idaho and California, in category 10: persons joined with auctions by the seller, whichever comes first and however far apart. A join of streams whose window is as long as
/// can be keeps both sides for ever, as the original does. Both sides are repartitioned: persons are by their id already, but a stream cannot meet in one sub-topology what was repartitioned from it.
/// </summary>
internal sealed class LocalItems() : NexmarkQuery<long, Texts>("q3", EventParts.Auctions | EventParts.Persons, Serdes.Int64, TextsSerde.Instance)
{
    private const long Category = 10;

    protected override KStream<long, Texts> Results(KStream<long, Event> events)
    {
        var persons = events.Filter((_, item) => item.Kind == EventKind.Person && IsLocal(item.Person!))
            .MapValues(item => Address(item.Person!))
            .Repartition(Repartitioned.With(Serdes.Int64, TextsSerde.Instance).WithName("persons"));
        var auctions = events.Filter((_, item) => item.Kind == EventKind.Auction && item.Auction!.Category == Category)
            .Map((_, item) => (item.Auction!.Seller, item.Auction.Id));
        var windows = JoinWindows.Of(TimeSpan.FromDays(36_500));
        return auctions.Join(persons, (id, address) => (id, address), windows, StreamJoined.With(Serdes.Int64, Serdes.Int64, TextsSerde.Instance).WithName("sellers"))
            .Map((_, pair) => (pair.id, pair.address));
    }

    protected override IEnumerable<(long Key, Texts Value)> Model(IReadOnlyList<Event> events) =>
        from auction in events.Auctions()
        where auction.Category == 10
        join person in events.Persons() on auction.Seller equals person.Id
        let state = person.Texts.Text(Person.State)
        where state is "OR" or "ID" or "CA"
        select (auction.Id, Texts.Of(person.Texts.Text(Person.Name), person.Texts.Text(Person.City), state, ""));

    protected override HandLoop<long, Texts> Loop() => new ByHand();

    private static bool IsLocal(Person person)
    {
        var state = person.Texts[Person.State];
        return state.SequenceEqual("OR"u8) || state.SequenceEqual("ID"u8) || state.SequenceEqual("CA"u8);
    }

    private static Texts Address(Person person) => Texts.Of(person.Texts[Person.Name], person.Texts[Person.City], person.Texts[Person.State], default);

    private sealed class ByHand : HandLoop<long, Texts>
    {
        private readonly Dictionary<long, Texts> _addresses = [];
        private readonly Dictionary<long, List<long>> _auctions = [];

        protected override void Take(in Event item, long time)
        {
            if (item.Kind == EventKind.Person && IsLocal(item.Person!))
            {
                var address = Address(item.Person!);
                _addresses.Add(item.Person!.Id, address);
                foreach (var auction in _auctions.GetValueOrDefault(item.Person.Id) ?? [])
                {
                    Emit(time, auction, address);
                }
            }
            else if (item.Kind == EventKind.Auction && item.Auction!.Category == Category)
            {
                (_auctions.TryGetValue(item.Auction.Seller, out var auctions) ? auctions : _auctions[item.Auction.Seller] = []).Add(item.Auction.Id);
                if (_addresses.TryGetValue(item.Auction.Seller, out var address))
                {
                    Emit(time, item.Auction.Id, address);
                }
            }
        }
    }
}
