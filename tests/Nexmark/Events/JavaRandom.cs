namespace OrleansStreams.Nexmark.Events;

/// <summary>
/// The pseudorandom numbers of <c>java.util.Random</c>, whose documentation fixes the algorithm (a linear congruential generator of 48 bits, Knuth, The Art of Computer
/// Programming, volume 2, section 3.2.1), so that whoever seeds it by an event's id gets the same event.
/// </summary>
internal sealed class JavaRandom
{
    private const long Multiplier = 0x5DEECE66D;
    private const long Increment = 0xB;
    private const long Mask = (1L << 48) - 1;

    private long _seed;

    public JavaRandom(long seed) => Seed(seed);

    public void Seed(long seed) => _seed = (seed ^ Multiplier) & Mask;

    /// <summary>Any int.</summary>
    public int NextInt() => Next(32);

    /// <summary>An int from 0 to <paramref name="bound"/> - 1.</summary>
    public int NextInt(int bound)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bound, 1);
        if ((bound & -bound) == bound)
        {
            return (int)((bound * (long)Next(31)) >> 31);
        }

        // What lies beyond the last whole multiple of the bound would make small numbers likelier: it is drawn again. The sum overflows exactly then.
        int bits;
        int value;
        do
        {
            bits = Next(31);
            value = bits % bound;
        }
        while (unchecked(bits - value + (bound - 1)) < 0);
        return value;
    }

    /// <summary>A number from 0 (inclusive) to 1 (exclusive).</summary>
    public double NextDouble() => (((long)Next(26) << 27) + Next(27)) * (1.0 / (1L << 53));

    private int Next(int bits)
    {
        _seed = unchecked((_seed * Multiplier) + Increment) & Mask;
        return unchecked((int)(_seed >> (48 - bits)));
    }
}
