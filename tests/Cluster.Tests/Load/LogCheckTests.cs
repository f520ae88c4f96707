namespace OrleansStreams.Cluster.Tests.Load;

/// <summary>The checker must see what it is there to see.</summary>
public sealed class LogCheckTests
{
    private static readonly Stored[] Sound = [new(0, 0, "1-0"), new(0, 1, "2-0"), new(0, 2, "1-2"), new(1, 0, "1-1")];

    [Fact]
    public void A_sound_log_is_passed() => LogCheck.Violations(Sound, Sound, Sound[1..]).ShouldBeEmpty();

    [Fact]
    public void A_lost_record_is_found() =>
        LogCheck.Violations(Sound[..3], Sound, []).ShouldHaveSingleItem().ShouldStartWith("acknowledged, but not there");

    [Fact]
    public void A_record_that_was_read_and_is_gone_is_found() =>
        LogCheck.Violations(Sound, [], [new(0, 1, "2-7")]).ShouldHaveSingleItem().ShouldStartWith("read once, but not there");

    [Fact]
    public void A_record_that_stands_twice_is_found() =>
        LogCheck.Violations([.. Sound, new(1, 1, "2-0")], Sound, []).ShouldHaveSingleItem().ShouldStartWith("2-0 stands twice");

    [Fact]
    public void Records_out_of_order_are_found() =>
        LogCheck.Violations([.. Sound, new(1, 1, "3-5"), new(1, 2, "3-4")], Sound, []).ShouldHaveSingleItem().ShouldBe("producer 3's record 4 stands behind its record 5 in partition 1");

    [Fact]
    public void A_hole_in_the_offsets_is_found() =>
        LogCheck.Violations([.. Sound, new(1, 2, "3-0")], Sound, []).ShouldHaveSingleItem().ShouldBe("partition 1 has offset 2 where 1 is next");
}
