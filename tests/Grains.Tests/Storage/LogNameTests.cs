using OrleansStreams.Storage;

namespace OrleansStreams.Tests.Storage;

public sealed class LogNameTests
{
    [Theory]
    [InlineData("")]
    [InlineData("/")]
    [InlineData("a//b")]
    [InlineData("a/..")]
    [InlineData("./a")]
    [InlineData("a b")]
    [InlineData("a/b/c/d/e/f/g/h/i")]
    [InlineData("ä")]
    public async Task A_name_outside_the_rules_is_refused(string name)
    {
        await using var storage = new MemoryLogStorage();
        (await Should.ThrowAsync<ArgumentException>(async () => await storage.OpenAsync(new LogId(name), new LogOptions()))).Message.ShouldContain("is no log name");
    }

    [Fact]
    public async Task A_segment_of_300_characters_is_a_name_and_one_of_301_is_not()
    {
        await using var storage = new MemoryLogStorage();
        await using var log = await storage.OpenAsync(new LogId(new string('x', 300)), new LogOptions());
        log.LeaderEpoch.ShouldBe(1);
        await Should.ThrowAsync<ArgumentException>(async () => await storage.OpenAsync(new LogId(new string('x', 301)), new LogOptions()));
    }
}
