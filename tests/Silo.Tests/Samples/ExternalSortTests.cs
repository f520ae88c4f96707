using OrleansStreams.Silo.Samples;

namespace OrleansStreams.Silo.Tests.Samples;

public sealed class ExternalSortTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("streams-sort-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(0)]
    [InlineData(9)]
    [InlineData(10)]
    [InlineData(1_000)]
    [InlineData(1_234)]
    public void Items_come_out_in_order_however_many_runs_they_took(int count)
    {
        var random = new Random(count);
        var items = Enumerable.Range(0, count).Select(_ => random.Next(500)).ToList();
        using var sort = new ExternalSort<int>(new Format(), Path.Combine(_folder, "runs"), itemsInMemory: 10, runsMax: 4);

        items.ForEach(sort.Add);

        sort.Count.ShouldBe(count);
        sort.Sorted().ShouldBe(items.Order());
    }

    [Fact]
    public void Runs_are_deleted_at_the_end()
    {
        var runs = Path.Combine(_folder, "runs");
        using (var sort = new ExternalSort<int>(new Format(), runs, itemsInMemory: 2))
        {
            Enumerable.Range(0, 100).ToList().ForEach(sort.Add);
            Directory.Exists(runs).ShouldBeTrue();
            sort.Sorted().Take(3).ShouldBe([0, 1, 2]);
        }

        Directory.Exists(runs).ShouldBeFalse();
    }

    private sealed class Format : ISortFormat<int>
    {
        public int Compare(int x, int y) => x.CompareTo(y);

        public void Write(BinaryWriter writer, int item) => writer.Write(item);

        public int Read(BinaryReader reader) => reader.ReadInt32();
    }
}
