using static OrleansStreams.Processing.EngineFixture;

namespace OrleansStreams.Processing;

/// <summary>An input of a bounded run ends at its offset, wherever that lies in a batch.</summary>
public sealed class BoundedEndTests
{
    [Theory]
    [InlineData(0, "")]
    [InlineData(1, "a 0-10=1")]
    [InlineData(2, "a 0-10=2")]
    [InlineData(3, "a 0-10=3")]
    [InlineData(4, "a 0-10=3|a 10-20=1")]
    public void What_stands_behind_the_end_is_not_processed_although_its_batch_was_read_and_all_windows_close(long end, string results)
    {
        var plan = Plan(Counting(size: 10, grace: 0, outOfOrderness: 0)) with { EndOffsets = [end] };
        var engine = Begun(plan);
        engine.EndReachedInputs();
        engine.IsCompleted.ShouldBe(end == 0);

        engine.ProcessBatch(0, Batch(0, ("a", 1), ("a", 2), ("a", 3), ("a", 11)));

        engine.IsCompleted.ShouldBeTrue();
        engine.PositionOf(0).ShouldBe(end);
        engine.Progress.RecordsIn.ShouldBe(end);
        var commit = engine.Drain();
        string.Join('|', Read(commit.Outbox, Output)).ShouldBe(results);

        var again = new TaskEngine(plan);
        again.Restore(commit.Entry.Span);
        (again.IsCompleted, again.PositionOf(0)).ShouldBe((true, end));
    }
}
