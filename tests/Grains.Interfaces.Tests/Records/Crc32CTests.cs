using OrleansStreams.Records;

namespace OrleansStreams.Tests.Records;

public class Crc32CTests
{
    private const string Rfc3720ReadCommand =
        "01c00000" + "00000000" + "00000000" + "00000000" + "14000000" + "00000400" + "00000014" + "00000018" + "28000000" + "00000000" + "02000000" + "00000000";

    [Theory]
    [InlineData("", 0u)]
    [InlineData("313233343536373839", 0xe3069283u)] // "123456789", the catalogued check value
    [InlineData("0000000000000000000000000000000000000000000000000000000000000000", 0x8a9136aau)]
    [InlineData("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", 0x62a8ab43u)]
    [InlineData("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 0x46dd794eu)]
    [InlineData("1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100", 0x113fdb5cu)]
    [InlineData(Rfc3720ReadCommand, 0xd9963a56u)]
    public void The_checksum_equals_the_vectors_of_RFC_3720(string hex, uint expected) =>
        Crc32C.Compute(Convert.FromHexString(hex)).ShouldBe(expected);

    [Fact]
    public void The_interleaved_path_equals_the_definition_bit_by_bit_at_every_length_and_alignment()
    {
        var random = new Random(20260101);
        var data = new byte[20_000];
        random.NextBytes(data);
        int[] lengths = [.. Enumerable.Range(0, 40), 255, 256, 257, 767, 768, 769, 1535, 1536, 2047, 2048, 6143, 6144, 6145, 6912, 12_288, 13_059, 19_990];
        foreach (var length in lengths)
        {
            for (var start = 0; start < 9; start++)
            {
                var part = data.AsSpan(start, length);
                Crc32C.Compute(part).ShouldBe(BitByBit(part), $"length {length} from {start}");
            }
        }
    }

    private static uint BitByBit(ReadOnlySpan<byte> data)
    {
        var crc = ~0u;
        foreach (var b in data)
        {
            crc ^= b;
            for (var bit = 0; bit < 8; bit++)
            {
                crc = (crc >> 1) ^ ((crc & 1) * 0x82f63b78u);
            }
        }

        return ~crc;
    }
}
