using System.Buffers;
using System.Numerics;
using System.Text;

namespace OrleansStreams.Records;

/// <summary>Strings as UTF-8; bytes and strings that have no exact counterpart are refused, never replaced.</summary>
internal class Utf8Serde : ISerde<string>
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public string Name => "utf8";

    public void Serialize(string value, IBufferWriter<byte> writer)
    {
        try
        {
            Strict.GetBytes(value, writer);
        }
        catch (EncoderFallbackException e)
        {
            throw Serdes.Failed($"The string has half of a surrogate pair at index {e.Index}, which UTF-8 cannot express: repair the string.", e);
        }
    }

    public virtual string Deserialize(ReadOnlySpan<byte> data)
    {
        try
        {
            return Strict.GetString(data);
        }
        catch (DecoderFallbackException e)
        {
            throw Serdes.Failed(
                $"The data is not UTF-8 from byte {IndexOfInvalid(data)} of {data.Length} on: use the serde that the data was written with, or Serdes.Bytes.",
                e);
        }
    }

    private static int IndexOfInvalid(ReadOnlySpan<byte> data)
    {
        var at = 0;
        while (Rune.DecodeFromUtf8(data[at..], out _, out var consumed) == OperationStatus.Done)
        {
            at += consumed;
        }

        return at;
    }
}

/// <summary>Utf8Serde with a direct-mapped cache.</summary>
internal sealed class CachedUtf8Serde : Utf8Serde
{
    private const int MaxSlots = 1 << 20;
    private const int MaxCachedBytes = 64;

    // Threads may race for a slot: an entry is immutable and its reference is written at once, so the worst is a lost entry.
    private readonly Entry?[] _slots;

    public CachedUtf8Serde(int slots)
    {
        if (slots is < 1 or > MaxSlots)
        {
            throw new StreamsException(StreamsErrorCode.InvalidConfig, $"The cache takes 1 to {MaxSlots} slots, not {slots}.");
        }

        _slots = new Entry?[BitOperations.RoundUpToPowerOf2((uint)slots)];
    }

    public override string Deserialize(ReadOnlySpan<byte> data)
    {
        if (data.Length > MaxCachedBytes)
        {
            return base.Deserialize(data);
        }

        ref var slot = ref _slots[Crc32C.Update(0x9e3779b9, data) & (uint)(_slots.Length - 1)];
        var entry = Volatile.Read(ref slot);
        if (entry is not null && data.SequenceEqual(entry.Bytes))
        {
            return entry.Text;
        }

        var text = base.Deserialize(data);
        Volatile.Write(ref slot, new Entry(data.ToArray(), text));
        return text;
    }

    private sealed class Entry(byte[] bytes, string text)
    {
        public byte[] Bytes { get; } = bytes;

        public string Text { get; } = text;
    }
}
