using OrleansStreams.Nexmark.Events;

namespace OrleansStreams.Nexmark;

/// <summary>Numbers that <c>java.util.Random</c> is known to give.</summary>
public sealed class JavaRandomTests
{
    [Theory]
    [InlineData(0, -1155484576, -723955400)]
    [InlineData(42, -1170105035, 234785527)]
    public void Ints_are_those_of_java(long seed, int first, int second)
    {
        var random = new JavaRandom(seed);
        random.NextInt().ShouldBe(first);
        random.NextInt().ShouldBe(second);
    }

    [Fact]
    public void Bounded_ints_are_those_of_java()
    {
        var random = new JavaRandom(42);
        Enumerable.Range(0, 10).Select(_ => random.NextInt(10)).ShouldBe([0, 3, 8, 4, 0, 5, 5, 8, 9, 3]);
    }

    [Fact]
    public void A_bound_that_is_a_power_of_two_takes_the_upper_bits()
    {
        // The upper bits of -1170105035 as 31 unsigned ones, shifted: 1562431130 * 16 >> 31.
        new JavaRandom(42).NextInt(16).ShouldBe(11);
    }

    [Fact]
    public void Doubles_are_those_of_java() => new JavaRandom(42).NextDouble().ShouldBe(0.7275636800328681);

    [Fact]
    public void A_seed_can_be_given_again()
    {
        var random = new JavaRandom(7);
        var first = random.NextInt();
        random.Seed(7);
        random.NextInt().ShouldBe(first);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public void A_bound_that_is_not_positive_is_refused(int bound) => Should.Throw<ArgumentOutOfRangeException>(() => new JavaRandom(1).NextInt(bound));
}
