using System.Buffers;
using System.Runtime.InteropServices;
using OrleansStreams.Nexmark.Events;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries.Statistics;

/// <summary>A channel's day.</summary>
/// <param name="Day">Its first ms.</param>
/// <param name="Minute">The last minute of the day with a bid.</param>
/// <param name="Statistics">Bids, bidders, auctions.</param>
internal readonly record struct ChannelDay(long Day, long Minute, BidStatistics Statistics);

/// <summary>
/// Query 16: as query 15 for each channel, told when the day is over. Here the sets of bidders and auctions stand in the aggregate of channel and day: by auction and channel, and by bidder and channel, the bids
/// would have to be repartitioned twice. So a commit writes a channel's sets whole, however little has changed in them.
/// </summary>
internal sealed class ChannelBids()
    : NexmarkQuery<Texts, ChannelDay>("q16", EventParts.Bids | EventParts.BidTexts, TextsSerde.Instance, NumbersSerde<ChannelDay>.Instance)
{
    private const long MinuteMs = 60_000;

    protected override KStream<Texts, ChannelDay> Results(KStream<long, Event> events) => events
        .Bids()
        .Map((_, bid) => (bid.Texts.Only(Bid.Channel), new Share(bid.Bidder, bid.Auction, PriceRank.BitOf(bid.Price), bid.Time)))
        .GroupByKey(Grouped.With(TextsSerde.Instance, NumbersSerde<Share>.Instance).WithName("channels"))
        .WindowedBy(PriceRank.Days)
        .Aggregate(() => new Sets(), (_, share, sets) => sets.With(share), Materialized.As("channels", Sets.Serde).WithRetention(TimeSpan.Zero))
        .Map((window, sets) => (window.Key, sets.Sum(window.WindowStartMs)));

    protected override IEnumerable<(Texts Key, ChannelDay Value)> Model(IReadOnlyList<Event> events) =>
        from bid in events.Bids()
        group bid by (Day: bid.Time / PriceRank.DayMs * PriceRank.DayMs, Channel: bid.Texts.Text(Bid.Channel)) into day
        let statistics = new BidStatistics(RankCounts.All(day), RankCounts.Distinct(day, bid => bid.Bidder), RankCounts.Distinct(day, bid => bid.Auction))
        select (Texts.Of(day.Key.Channel), new ChannelDay(day.Key.Day, day.Max(bid => bid.Time) / MinuteMs, statistics));

    protected override HandLoop<Texts, ChannelDay> Loop() => new ByHand();

    private readonly record struct Share(long Bidder, long Auction, long Bit, long Time);

    /// <summary>A channel's day so far.</summary>
    private sealed class Sets
    {
        private readonly Dictionary<long, int> _bidders = [];
        private readonly Dictionary<long, int> _auctions = [];
        private RankCounts _bids;
        private long _lastTime = long.MinValue;

        public static ISerde<Sets> Serde { get; } = new SetsSerde();

        public Sets With(in Share share)
        {
            var bit = (int)share.Bit;
            _bids = _bids.Plus(RankCounts.Of(bit));
            _lastTime = Math.Max(_lastTime, share.Time);
            CollectionsMarshal.GetValueRefOrAddDefault(_bidders, share.Bidder, out _) |= bit;
            CollectionsMarshal.GetValueRefOrAddDefault(_auctions, share.Auction, out _) |= bit;
            return this;
        }

        public ChannelDay Sum(long day) => new(day, _lastTime / MinuteMs, new BidStatistics(_bids, Sum(_bidders), Sum(_auctions)));

        private static RankCounts Sum(Dictionary<long, int> seen)
        {
            var sum = default(RankCounts);
            foreach (var bits in seen.Values)
            {
                sum = sum.Plus(RankCounts.Of(bits));
            }

            return sum;
        }

        /// <summary>
        /// Writes a day.
        /// <code>
        ///  last time | bids: total, rank 1 to 3 | count of bidders | (bidder, bits)* | (auction, bits)*          int64 each, as they stand in memory
        /// </code>
        /// </summary>
        private sealed class SetsSerde : ISerde<Sets>
        {
            public string Name => "channel-sets";

            public void Serialize(Sets value, IBufferWriter<byte> writer)
            {
                var numbers = MemoryMarshal.Cast<byte, long>(writer.GetSpan(sizeof(long) * (6 + (2 * (value._bidders.Count + value._auctions.Count)))));
                (numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]) =
                    (value._lastTime, value._bids.Total, value._bids.Rank1, value._bids.Rank2, value._bids.Rank3, value._bidders.Count);
                var at = Write(numbers, Write(numbers, 6, value._bidders), value._auctions);
                writer.Advance(at * sizeof(long));
            }

            public Sets Deserialize(ReadOnlySpan<byte> data)
            {
                var numbers = MemoryMarshal.Cast<byte, long>(data);
                var sets = new Sets { _lastTime = numbers[0], _bids = new(numbers[1], numbers[2], numbers[3], numbers[4]) };
                var auctionsAt = 6 + (2 * (int)numbers[5]);
                for (var at = 6; at < numbers.Length; at += 2)
                {
                    (at < auctionsAt ? sets._bidders : sets._auctions).Add(numbers[at], (int)numbers[at + 1]);
                }

                return sets;
            }

            private static int Write(Span<long> to, int at, Dictionary<long, int> seen)
            {
                foreach (var (id, bits) in seen)
                {
                    to[at++] = id;
                    to[at++] = bits;
                }

                return at;
            }
        }
    }

    private sealed class ByHand : HandLoop<Texts, ChannelDay>
    {
        private readonly Dictionary<string, Sets> _channels = [];
        private Dictionary<string, Sets>.AlternateLookup<ReadOnlySpan<char>> _byLetters;
        private long _end;

        protected override void Take(in Event item, long time)
        {
            if (item.Kind != EventKind.Bid)
            {
                return;
            }

            if (time >= _end)
            {
                End();
                _end = (time / PriceRank.DayMs * PriceRank.DayMs) + PriceRank.DayMs;
                _byLetters = _channels.GetAlternateLookup<ReadOnlySpan<char>>();
            }

            var channel = item.Bid.Texts[Bid.Channel];
            Span<char> letters = stackalloc char[channel.Length];
            System.Text.Encoding.UTF8.GetChars(channel, letters);
            ref var sets = ref CollectionsMarshal.GetValueRefOrAddDefault(_byLetters, letters, out _);
            sets = (sets ?? new Sets()).With(new Share(item.Bid.Bidder, item.Bid.Auction, PriceRank.BitOf(item.Bid.Price), time));
        }

        protected override void End()
        {
            foreach (var (channel, sets) in _channels)
            {
                Emit(_end - 1, Texts.Of(channel), sets.Sum(_end - PriceRank.DayMs));
            }

            _channels.Clear();
        }
    }
}
