using EmbeddedOrleans.Storage;
using EmbeddedOrleans.Tests.Storage;
using OrleansStreams.Silo.Hosting;
using OrleansStreams.Storage.Postgres;
using OrleansStreams.Tests.Postgres;

namespace OrleansStreams.Silo.Tests.Postgres;

public sealed class PostgresStateStoreTests : GrainStateStoreTests, IAsyncLifetime
{
    private readonly PostgresStateStore store = new();
    private PostgresServer server = null!;
    private PostgresDatabase database = null!;

    private protected override IGrainStateStore Store => store;

    public async Task InitializeAsync()
    {
        server = await PostgresServer.SharedAsync;
        database = server.Database();
        store.Connect(database, new Random(1));
    }

    public async Task DisposeAsync() => await database.DisposeAsync();

    [Fact]
    public async Task States_outlive_the_store()
    {
        var etag = await Store.WriteAsync(Address, Bytes("1"), null);
        await using var again = server.Database(database.Options);
        var reopened = new PostgresStateStore();
        reopened.Connect(again, new Random(2));
        Text((await reopened.ReadAsync(Address))!).ShouldBe("1");
        await reopened.WriteAsync(Address, Bytes("2"), etag);
    }

    [Fact]
    public async Task The_writers_buffer_is_not_kept()
    {
        var buffer = Bytes("1");
        var write = Store.WriteAsync(Address, buffer, null);
        buffer[0] = (byte)'9';
        await write;
        Text((await Store.ReadAsync(Address))!).ShouldBe("1");
    }

    [Fact]
    public async Task A_write_that_is_sent_again_after_a_lost_answer_is_done_once()
    {
        var states = new PostgresStates(database, new SameId());
        var address = new StateAddress("grain", "key", "state");

        // The same id again, as after a lost connection: what is there is its own work.
        var first = await states.WriteAsync(address, Bytes("1"), null);
        (await states.WriteAsync(address, Bytes("1"), null)).ShouldBe(first);
        (await states.ClearAsync(address, first.Version!.Value)).IsDone.ShouldBeTrue();
        (await states.ClearAsync(address, first.Version!.Value)).IsDone.ShouldBeTrue();
        (await states.ReadAsync(address)).ShouldBeNull();
    }

    private sealed class SameId : Random
    {
        public override void NextBytes(Span<byte> buffer) => buffer.Fill(7);
    }
}
