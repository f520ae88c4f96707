using System.Buffers.Binary;
using System.Globalization;

namespace OrleansStreams.Nexmark.Events;

/// <summary>What the events are made by: the settings of Apache Beam's generator under their defaults there, but for the rate, so that windows close within short runs.</summary>
internal sealed record NexmarkSettings
{
    /// <summary>The time of event 0: ten seconds before midnight, so that short runs have two hours and two days.</summary>
    public long BaseTime { get; init; } = new DateTimeOffset(2015, 7, 14, 23, 59, 50, TimeSpan.Zero).ToUnixTimeMilliseconds();

    /// <summary>Events a second of event time.</summary>
    public int EventsPerSecond { get; init; } = 1000;

    /// <summary>Persons who sell and bid at a time.</summary>
    public int ActivePeople { get; init; } = 1000;

    /// <summary>Auctions that are bid on at a time.</summary>
    public int InFlightAuctions { get; init; } = 100;

    /// <summary>Of so many auctions all but one have a hot seller.</summary>
    public int HotSellersRatio { get; init; } = 4;

    /// <summary>Of so many bids all but one are for a hot auction.</summary>
    public int HotAuctionRatio { get; init; } = 2;

    /// <summary>Of so many bids all but one are by a hot bidder.</summary>
    public int HotBiddersRatio { get; init; } = 4;

    /// <summary>Bytes of an average person.</summary>
    public int PersonBytes { get; init; } = 200;

    /// <summary>Bytes of an average auction.</summary>
    public int AuctionBytes { get; init; } = 500;

    /// <summary>Bytes of an average bid.</summary>
    public int BidBytes { get; init; } = 100;
}

/// <summary>
/// Makes the events of Nexmark (Tucker, Tufte, Papadimos, Maier: NEXMark - A Benchmark for Queries over Data Streams, 2002) by the rule of Apache Beam's generator: everything of an event follows
/// from its id alone, which seeds <see cref="JavaRandom"/>. Of 50 events the first is a person, the next three are auctions, the others bids. A bid's channel and URL, which Beam does not have, are
/// drawn after all that Beam has, by the rule of the Flink suite: half of the bids come by four hot channels, the others by one of 10,000.
/// </summary>
internal sealed class NexmarkGenerator(NexmarkSettings settings)
{
    /// <summary>Of so many events one is a person.</summary>
    public const int Cycle = PersonsPerCycle + AuctionsPerCycle + BidsPerCycle;
    public const int PersonsPerCycle = 1;
    public const int AuctionsPerCycle = 3;
    public const int BidsPerCycle = 46;
    public const long FirstPerson = 1000;
    public const long FirstAuction = 1000;
    public const long FirstCategory = 10;
    public const int Channels = 10_000;

    private const int Categories = 5;

    /// <summary>How far ahead of those that are there ids are drawn, so that some bids and auctions come before what they refer to.</summary>
    private const int Lead = 10;

    /// <summary>Of so many persons or auctions one is hot.</summary>
    private const int HotEvery = 100;
    private const int ShortestText = 3;

    private static readonly string[] s_firstNames = ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"];
    private static readonly string[] s_lastNames = ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];
    private static readonly string[] s_cities = ["Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"];
    private static readonly string[] s_states = ["AZ", "CA", "ID", "OR", "WA", "WY"];
    private static readonly string[] s_hotChannels = ["Google", "Facebook", "Baidu", "Apple"];
    private static readonly string[] s_hotUrls = [.. s_hotChannels.Select((_, index) => BaseUrl(new JavaRandom(index)))];

    private readonly JavaRandom _random = new(0);

    /// <summary>When an event happens, ms since the Unix epoch.</summary>
    public long TimeOf(long id) => settings.BaseTime + (id * (1_000_000 / settings.EventsPerSecond) / 1000);

    public Event EventOf(long id)
    {
        _random.Seed(id);
        return (id % Cycle) switch
        {
            < PersonsPerCycle => new Event(PersonOf(id)),
            < PersonsPerCycle + AuctionsPerCycle => new Event(AuctionOf(id)),
            _ => new Event(BidOf(id)),
        };
    }

    private static long LastPerson(long id) => id / Cycle;

    private static long LastAuction(long id)
    {
        var (cycle, place) = Math.DivRem(id, Cycle);
        return place < PersonsPerCycle
            ? (cycle * AuctionsPerCycle) - 1
            : (cycle * AuctionsPerCycle) + Math.Min(place - PersonsPerCycle, AuctionsPerCycle - 1);
    }

    private Person PersonOf(long id)
    {
        var name = $"{Pick(s_firstNames)} {Pick(s_lastNames)}";
        var email = $"{NextText(7)}@{NextText(5)}.com";
        var card = string.Create(CultureInfo.InvariantCulture, $"{_random.NextInt(10_000):D4} {_random.NextInt(10_000):D4} {_random.NextInt(10_000):D4} {_random.NextInt(10_000):D4}");
        var city = Pick(s_cities);
        var state = Pick(s_states);
        var extra = NextExtra(8 + name.Length + email.Length + card.Length + city.Length + state.Length, settings.PersonBytes);
        return new Person(LastPerson(id) + FirstPerson, TimeOf(id), Texts.Of(name, email, card, city, state, extra));
    }

    private Auction AuctionOf(long id)
    {
        var seller = _random.NextInt(settings.HotSellersRatio) > 0 ? LastPerson(id) / HotEvery * HotEvery : NextPerson(id);
        var category = FirstCategory + _random.NextInt(Categories);
        var initialBid = NextPrice();
        var length = NextAuctionLength(id);
        var name = NextText(20);
        var description = NextText(100);
        var reserve = initialBid + NextPrice();
        var extra = NextExtra(8 + name.Length + description.Length + (5 * 8), settings.AuctionBytes);
        var time = TimeOf(id);
        return new Auction(LastAuction(id) + FirstAuction, seller + FirstPerson, category, initialBid, reserve, time, time + length, Texts.Of(name, description, extra));
    }

    private Bid BidOf(long id)
    {
        var auction = _random.NextInt(settings.HotAuctionRatio) > 0 ? LastAuction(id) / HotEvery * HotEvery : NextAuction(id);
        // The second of a hundred persons, so that hot bidders are not the hot sellers.
        var bidder = _random.NextInt(settings.HotBiddersRatio) > 0 ? (LastPerson(id) / HotEvery * HotEvery) + 1 : NextPerson(id);
        var price = NextPrice();
        var extra = NextExtra(4 * 8, settings.BidBytes);
        var (channel, url) = NextChannel();
        return new Bid(auction + FirstAuction, bidder + FirstPerson, price, TimeOf(id), Texts.Of(channel, url, extra));
    }

    private long NextPerson(long id)
    {
        var people = LastPerson(id) + 1;
        var active = Math.Min(people, settings.ActivePeople);
        return people - active + _random.NextInt((int)active + Lead);
    }

    private long NextAuction(long id)
    {
        var last = LastAuction(id);
        var first = Math.Max(last - settings.InFlightAuctions, 0);
        return first + _random.NextInt((int)(last - first) + 1 + Lead);
    }

    /// <summary>On average the time until as many auctions more have begun as are in flight.</summary>
    private long NextAuctionLength(long id)
    {
        var horizon = TimeOf(id + ((long)settings.InFlightAuctions * Cycle / AuctionsPerCycle)) - TimeOf(id);
        return 1 + _random.NextInt((int)Math.Max(horizon * 2, 1));
    }

    private long NextPrice() => (long)Math.Floor((Math.Pow(10, _random.NextDouble() * 6) * 100) + 0.5);

    private (string Channel, string Url) NextChannel()
    {
        if (_random.NextInt(2) > 0)
        {
            var hot = _random.NextInt(s_hotChannels.Length);
            return (s_hotChannels[hot], s_hotUrls[hot]);
        }

        var number = _random.NextInt(Channels);
        var url = BaseUrl(_random);
        if (_random.NextInt(10) > 0)
        {
            url = string.Create(CultureInfo.InvariantCulture, $"{url}&channel_id={Math.Abs((long)Reversed(number))}");
        }

        return (string.Create(CultureInfo.InvariantCulture, $"channel-{number}"), url);
    }

    /// <summary>The bits in the opposite order.</summary>
    private static int Reversed(int number)
    {
        var bits = BinaryPrimitives.ReverseEndianness((uint)number);
        bits = ((bits & 0x0F0F0F0F) << 4) | ((bits >> 4) & 0x0F0F0F0F);
        bits = ((bits & 0x33333333) << 2) | ((bits >> 2) & 0x33333333);
        return (int)(((bits & 0x55555555) << 1) | ((bits >> 1) & 0x55555555));
    }

    private static string BaseUrl(JavaRandom random) => $"https://www.nexmark.com/{NextText(random, 5, '_')}/{NextText(random, 5, '_')}/{NextText(random, 5, '_')}/item.htm?query=1";

    private string NextText(int longest) => NextText(_random, longest, ' ').Trim();

    private static string NextText(JavaRandom random, int longest, char gap)
    {
        var letters = new char[ShortestText + random.NextInt(longest - ShortestText)];
        foreach (ref var letter in letters.AsSpan())
        {
            letter = random.NextInt(13) == 0 ? gap : (char)('a' + random.NextInt(26));
        }

        return new string(letters);
    }

    /// <summary>So many letters that an event of a size gets to the average within a fifth of what is missing.</summary>
    private string NextExtra(int size, int average)
    {
        if (size > average)
        {
            return "";
        }

        var missing = average - size;
        var fifth = (int)Math.Floor((missing * 0.2) + 0.5);
        var letters = new char[missing - fifth + (fifth == 0 ? 0 : _random.NextInt(2 * fifth))];
        var bits = 0;
        for (var at = 0; at < letters.Length; at++)
        {
            // Six letters of 26 fit into a number; a negative one gives what stands before 'a'.
            bits = at % 6 == 0 ? _random.NextInt() : bits / 26;
            letters[at] = (char)('a' + (bits % 26));
        }

        return new string(letters);
    }

    private string Pick(string[] texts) => texts[_random.NextInt(texts.Length)];
}
