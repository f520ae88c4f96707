using System.Numerics;
using System.Runtime.InteropServices;

namespace OrleansStreams.Records;

/// <summary>CRC-32C (Castagnoli, RFC 3720 appendix B.4) on the processor's instructions.</summary>
public static class Crc32C
{
    // One CRC instruction takes three cycles but one can start every cycle: three independent streams over adjacent blocks run
    // nearly three times as fast as one. Their results are joined by appending zeros to a CRC (a linear map, so four table look-ups).
    private const int LongBlock = 2048;
    private const int ShortBlock = 256;
    private const uint Polynomial = 0x82f63b78; // reflected

    private static readonly uint[] LongShift = ZeroShiftTable(LongBlock);
    private static readonly uint[] ShortShift = ZeroShiftTable(ShortBlock);

    /// <summary>The checksum of <paramref name="data"/>.</summary>
    public static uint Compute(ReadOnlySpan<byte> data) => ~Update(~0u, data);

    /// <summary>Goes on from a raw (not inverted) register.</summary>
    internal static uint Update(uint crc, ReadOnlySpan<byte> data)
    {
        while (data.Length >= 3 * LongBlock)
        {
            crc = Triple(crc, data[..(3 * LongBlock)], LongBlock, LongShift);
            data = data[(3 * LongBlock)..];
        }

        while (data.Length >= 3 * ShortBlock)
        {
            crc = Triple(crc, data[..(3 * ShortBlock)], ShortBlock, ShortShift);
            data = data[(3 * ShortBlock)..];
        }

        foreach (var word in MemoryMarshal.Cast<byte, ulong>(data))
        {
            crc = BitOperations.Crc32C(crc, BitConverter.IsLittleEndian ? word : System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(word));
        }

        foreach (var b in data[(data.Length & ~7)..])
        {
            crc = BitOperations.Crc32C(crc, b);
        }

        return crc;
    }

    private static uint Triple(uint crc, ReadOnlySpan<byte> data, int block, uint[] shift)
    {
        var first = MemoryMarshal.Cast<byte, ulong>(data[..block]);
        var second = MemoryMarshal.Cast<byte, ulong>(data.Slice(block, block));
        var third = MemoryMarshal.Cast<byte, ulong>(data.Slice(2 * block, block));
        uint crc2 = 0;
        uint crc3 = 0;
        if (!BitConverter.IsLittleEndian)
        {
            foreach (var b in data)
            {
                crc = BitOperations.Crc32C(crc, b);
            }

            return crc;
        }

        for (var i = 0; i < first.Length && i < second.Length && i < third.Length; i++)
        {
            crc = BitOperations.Crc32C(crc, first[i]);
            crc2 = BitOperations.Crc32C(crc2, second[i]);
            crc3 = BitOperations.Crc32C(crc3, third[i]);
        }

        return Shift(shift, Shift(shift, crc) ^ crc2) ^ crc3;
    }

    private static uint Shift(uint[] table, uint crc) =>
        table[crc & 0xff] ^ table[256 + ((crc >> 8) & 0xff)] ^ table[512 + ((crc >> 16) & 0xff)] ^ table[768 + (crc >> 24)];

    private static uint[] ZeroShiftTable(int zeroBytes)
    {
        var factor = 0x80000000u; // the polynomial 1
        for (var bit = 0; bit < zeroBytes * 8; bit++)
        {
            factor = TimesX(factor);
        }

        var table = new uint[4 * 256];
        for (var lane = 0; lane < 4; lane++)
        {
            for (uint value = 0; value < 256; value++)
            {
                table[(lane * 256) + (int)value] = Multiply(value << (8 * lane), factor);
            }
        }

        return table;
    }

    private static uint TimesX(uint value) => (value >> 1) ^ ((value & 1) != 0 ? Polynomial : 0);

    private static uint Multiply(uint a, uint b)
    {
        uint product = 0;
        for (var mask = 0x80000000u; mask != 0; mask >>= 1)
        {
            if ((a & mask) != 0)
            {
                product ^= b;
            }

            b = TimesX(b);
        }

        return product;
    }
}
