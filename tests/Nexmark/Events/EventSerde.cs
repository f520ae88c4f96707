using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using OrleansStreams.Records;

namespace OrleansStreams.Nexmark.Events;

/// <summary>
/// Events as bytes.
/// <code>
///  kind byte: 0 person, 1 auction, 2 bid | the numbers, int64 little-endian each | the texts
///  person: id, time    auction: id, seller, category, initial bid, reserve, time, expires    bid: auction, bidder, price, time
/// </code>
/// </summary>
/// <param name="parts">What reading decodes.</param>
internal sealed class EventSerde(EventParts parts) : ISerde<Event>
{
    private readonly bool _persons = (parts & EventParts.Persons) != 0;
    private readonly bool _auctions = (parts & EventParts.Auctions) != 0;
    private readonly bool _bids = (parts & EventParts.Bids) != 0;
    private readonly bool _texts = (parts & EventParts.BidTexts) != 0;

    public string Name => "nexmark-event";

    public void Serialize(Event value, IBufferWriter<byte> writer)
    {
        writer.GetSpan(1)[0] = (byte)value.Kind;
        writer.Advance(1);
        switch (value.Kind)
        {
            case EventKind.Bid:
                BidSerde.Instance.Serialize(value.Bid, writer);
                break;
            case EventKind.Auction:
                AuctionSerde.Instance.Serialize(value.Auction!, writer);
                break;
            default:
                PersonSerde.Instance.Serialize(value.Person!, writer);
                break;
        }
    }

    public Event Deserialize(ReadOnlySpan<byte> data)
    {
        var kind = (EventKind)data[0];
        return kind switch
        {
            EventKind.Bid when _bids => new Event(BidSerde.Read(data[1..], _texts)),
            EventKind.Auction when _auctions => new Event(AuctionSerde.Instance.Deserialize(data[1..])),
            EventKind.Person when _persons => new Event(PersonSerde.Instance.Deserialize(data[1..])),
            _ => new Event(kind),
        };
    }
}

internal sealed class BidSerde : ISerde<Bid>
{
    private const int NumberBytes = 4 * sizeof(long);

    public static BidSerde Instance { get; } = new();

    public string Name => "nexmark-bid";

    /// <summary>How many bytes a bid takes.</summary>
    public static int SizeOf(in Bid bid) => NumberBytes + bid.Texts.Bytes.Length;

    public static Bid Read(ReadOnlySpan<byte> data, bool withTexts)
    {
        // From the last on: one check of the length for all.
        var time = BinaryPrimitives.ReadInt64LittleEndian(data[24..]);
        var price = BinaryPrimitives.ReadInt64LittleEndian(data[16..]);
        var bidder = BinaryPrimitives.ReadInt64LittleEndian(data[8..]);
        var auction = BinaryPrimitives.ReadInt64LittleEndian(data);
        return new Bid(auction, bidder, price, time, withTexts ? new Texts(data[NumberBytes..].ToArray()) : default);
    }

    public void Serialize(Bid value, IBufferWriter<byte> writer)
    {
        var texts = value.Texts.Bytes;
        var to = writer.GetSpan(NumberBytes + texts.Length);
        BinaryPrimitives.WriteInt64LittleEndian(to[24..], value.Time);
        BinaryPrimitives.WriteInt64LittleEndian(to[16..], value.Price);
        BinaryPrimitives.WriteInt64LittleEndian(to[8..], value.Bidder);
        BinaryPrimitives.WriteInt64LittleEndian(to, value.Auction);
        texts.CopyTo(to[NumberBytes..]);
        writer.Advance(NumberBytes + texts.Length);
    }

    public Bid Deserialize(ReadOnlySpan<byte> data) => Read(data, withTexts: true);
}

internal sealed class AuctionSerde : ISerde<Auction>
{
    private const int NumberBytes = 7 * sizeof(long);

    private static readonly RowSerde<Numbers> s_rows = new("nexmark-auction");

    public static AuctionSerde Instance { get; } = new();

    public string Name => s_rows.Name;

    /// <summary>How many bytes an auction takes.</summary>
    public static int SizeOf(Auction auction) => NumberBytes + auction.Texts.Bytes.Length;

    public void Serialize(Auction value, IBufferWriter<byte> writer) => s_rows.Serialize(
        new(new(value.Id, value.Seller, value.Category, value.InitialBid, value.Reserve, value.Time, value.Expires), value.Texts), writer);

    public Auction Deserialize(ReadOnlySpan<byte> data)
    {
        var (numbers, texts) = s_rows.Deserialize(data);
        return new Auction(numbers.Id, numbers.Seller, numbers.Category, numbers.InitialBid, numbers.Reserve, numbers.Time, numbers.Expires, texts);
    }

    private readonly record struct Numbers(long Id, long Seller, long Category, long InitialBid, long Reserve, long Time, long Expires);
}

internal sealed class PersonSerde : ISerde<Person>
{
    private static readonly RowSerde<Numbers> s_rows = new("nexmark-person");

    public static PersonSerde Instance { get; } = new();

    public string Name => s_rows.Name;

    public void Serialize(Person value, IBufferWriter<byte> writer) => s_rows.Serialize(new(new(value.Id, value.Time), value.Texts), writer);

    public Person Deserialize(ReadOnlySpan<byte> data)
    {
        var (numbers, texts) = s_rows.Deserialize(data);
        return new Person(numbers.Id, numbers.Time, texts);
    }

    private readonly record struct Numbers(long Id, long Time);
}

/// <summary>Numbers as they stand in memory (of little-endian machines): for types without gaps between their fields.</summary>
internal sealed class NumbersSerde<T> : ISerde<T>
    where T : unmanaged
{
    private static readonly int s_size = Marshal.SizeOf<T>();

    public static NumbersSerde<T> Instance { get; } = new();

    public string Name => "numbers-" + typeof(T).Name;

    public void Serialize(T value, IBufferWriter<byte> writer)
    {
        MemoryMarshal.Write(writer.GetSpan(s_size), value);
        writer.Advance(s_size);
    }

    public T Deserialize(ReadOnlySpan<byte> data) => MemoryMarshal.Read<T>(data);
}

/// <summary>Numbers and texts.</summary>
internal readonly record struct Row<T>(T Numbers, Texts Texts)
    where T : unmanaged;

/// <summary>The numbers as <see cref="NumbersSerde{T}"/> writes them, then the texts.</summary>
internal sealed class RowSerde<T>(string name) : ISerde<Row<T>>
    where T : unmanaged
{
    private static readonly int s_size = Marshal.SizeOf<T>();

    public string Name => name;

    public void Serialize(Row<T> value, IBufferWriter<byte> writer)
    {
        var texts = value.Texts.Bytes;
        var to = writer.GetSpan(s_size + texts.Length);
        MemoryMarshal.Write(to, value.Numbers);
        texts.CopyTo(to[s_size..]);
        writer.Advance(s_size + texts.Length);
    }

    public Row<T> Deserialize(ReadOnlySpan<byte> data) => new(MemoryMarshal.Read<T>(data), new Texts(data[s_size..].ToArray()));
}
