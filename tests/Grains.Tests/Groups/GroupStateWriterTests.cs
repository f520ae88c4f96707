using Orleans.Runtime;
using OrleansStreams.Log;
using static OrleansStreams.Groups.GroupFixture;

namespace OrleansStreams.Groups;

public sealed class GroupStateWriterTests
{
    private readonly GroupFixture _group = new();
    private readonly GatedState _stored = new();
    private readonly GroupStateWriter _writer;

    public GroupStateWriterTests() => _writer = new GroupStateWriter(_stored, _group.Machine, () => _group.Now);

    [Fact]
    public void Commits_that_come_while_a_write_runs_share_the_next_one() => Turns.Run(async () =>
    {
        var first = Commit(1);
        var waiting = Enumerable.Range(2, 50).Select(o => Commit(o)).ToArray();
        _stored.Writes.Count.ShouldBe(1);
        _stored.Complete();
        await first;
        await Turns.Settle();
        waiting.ShouldAllBe(t => !t.IsCompleted);
        _stored.Writes.Count.ShouldBe(2);
        _stored.Complete();
        await Task.WhenAll(waiting);
        _stored.Writes.Count.ShouldBe(2);
        _stored.Writes.Select(w => w.Offsets.Single().Offset).ShouldBe([1, 51]);
    });

    [Fact]
    public void Nothing_is_written_when_nothing_changed() => Turns.Run(async () =>
    {
        var first = Commit(1);
        _stored.Complete();
        await first;
        await _writer.DurableAsync();
        _stored.Writes.Count.ShouldBe(1);
        _writer.LastProof.ShouldBe(_group.Now);
    });

    [Fact]
    public void A_failed_write_fails_everybody_who_waits_and_everybody_after() => Turns.Run(async () =>
    {
        var first = Commit(1);
        var second = Commit(2);
        _stored.Fail(new IOException("disk gone"));
        await Should.ThrowAsync<IOException>(first);
        await Should.ThrowAsync<IOException>(second);
        await Should.ThrowAsync<IOException>(Commit(3));
        _stored.Writes.Count.ShouldBe(1);
        _writer.LastProof.ShouldBeNull();
    });

    private Task Commit(long offset)
    {
        _group.Commit("", -1, (P("a", 0), offset));
        return _writer.DurableAsync();
    }

    private sealed class GatedState : IPersistentState<GroupState>
    {
        private TaskCompletionSource _gate = new();

        public List<GroupState> Writes { get; } = [];

        public GroupState State { get; set; } = new();

        public string? Etag => null;

        public bool RecordExists => Writes.Count > 0;

        public Task WriteStateAsync()
        {
            Writes.Add(State);
            return _gate.Task;
        }

        public Task ReadStateAsync() => Task.CompletedTask;

        public Task ClearStateAsync() => Task.CompletedTask;

        public void Complete() => Next().SetResult();

        public void Fail(Exception e) => Next().SetException(e);

        private TaskCompletionSource Next()
        {
            var gate = _gate;
            _gate = new TaskCompletionSource();
            return gate;
        }
    }
}
