using System.Numerics;
using System.Runtime.CompilerServices;

namespace OrleansStreams.Records;

/// <summary>
/// Kafka's varints: zigzag (so that small negative numbers stay small), then groups of seven bits, the lowest first, the high bit of a
/// byte set when more follow. At most five bytes for 32 bits, ten for 64.
/// </summary>
internal static class Varint
{
    public const int MaxBytes32 = 5;
    public const int MaxBytes64 = 10;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint ZigZag(int value) => (uint)((value << 1) ^ (value >> 31));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong ZigZag(long value) => (ulong)((value << 1) ^ (value >> 63));

    // ceil(bits / 7) without a division: exact for 1 to 64 bits.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int SizeOf(int value) => ((BitOperations.Log2(ZigZag(value) | 1) * 9) + 73) >> 6;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int SizeOf(long value) => ((BitOperations.Log2(ZigZag(value) | 1) * 9) + 73) >> 6;

    /// <summary>Writes at <paramref name="at"/> and returns the position after it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Write(Span<byte> to, int at, int value)
    {
        var bits = ZigZag(value);
        while (bits >= 0x80)
        {
            to[at++] = (byte)(bits | 0x80);
            bits >>= 7;
        }

        to[at++] = (byte)bits;
        return at;
    }

    /// <summary>Writes at <paramref name="at"/> and returns the position after it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Write(Span<byte> to, int at, long value)
    {
        var bits = ZigZag(value);
        while (bits >= 0x80)
        {
            to[at++] = (byte)(bits | 0x80);
            bits >>= 7;
        }

        to[at++] = (byte)bits;
        return at;
    }

    /// <summary>Reads at <paramref name="at"/>; false when the bytes end or the number is too long.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRead(ReadOnlySpan<byte> from, ref int at, out int value)
    {
        // Nearly every varint of a record is one byte long.
        if ((uint)at < (uint)from.Length && from[at] < 0x80)
        {
            uint bits = from[at++];
            value = (int)(bits >> 1) ^ -(int)(bits & 1);
            return true;
        }

        return TryReadLong(from, ref at, out value);
    }

    /// <summary>Reads at <paramref name="at"/>; false when the bytes end or the number is too long.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRead(ReadOnlySpan<byte> from, ref int at, out long value)
    {
        if ((uint)at < (uint)from.Length && from[at] < 0x80)
        {
            uint bits = from[at++];
            value = (int)(bits >> 1) ^ -(int)(bits & 1);
            return true;
        }

        return TryReadLong(from, ref at, out value);
    }

    private static bool TryReadLong(ReadOnlySpan<byte> from, ref int at, out int value)
    {
        uint bits = 0;
        var position = at;
        value = 0;
        for (var shift = 0; shift < 7 * MaxBytes32; shift += 7)
        {
            if ((uint)position >= (uint)from.Length)
            {
                return false;
            }

            uint b = from[position++];
            if (shift == 28 && b > 0x0f)
            {
                return false;
            }

            bits |= (b & 0x7f) << shift;
            if (b < 0x80)
            {
                at = position;
                value = (int)(bits >> 1) ^ -(int)(bits & 1);
                return true;
            }
        }

        return false;
    }

    private static bool TryReadLong(ReadOnlySpan<byte> from, ref int at, out long value)
    {
        ulong bits = 0;
        var position = at;
        value = 0;
        for (var shift = 0; shift < 7 * MaxBytes64; shift += 7)
        {
            if ((uint)position >= (uint)from.Length)
            {
                return false;
            }

            ulong b = from[position++];
            if (shift == 63 && b > 1)
            {
                return false;
            }

            bits |= (b & 0x7f) << shift;
            if (b < 0x80)
            {
                at = position;
                value = (long)(bits >> 1) ^ -(long)(bits & 1);
                return true;
            }
        }

        return false;
    }
}
