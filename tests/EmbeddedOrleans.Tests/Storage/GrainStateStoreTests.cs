using System.Text;
using EmbeddedOrleans.Storage;
using Orleans.Storage;

namespace EmbeddedOrleans.Tests.Storage;

/// <summary>What every store promises.</summary>
public abstract class GrainStateStoreTests
{
    protected static readonly GrainStateAddress Address = new("probe", "key", "state");

    private protected abstract IGrainStateStore Store { get; }

    [Fact]
    public async Task Nothing_is_stored_at_first()
    {
        (await Store.ReadAsync(Address)).ShouldBeNull();
    }

    [Fact]
    public async Task What_was_written_is_read_back_with_its_tag()
    {
        string etag = await Store.WriteAsync(Address, Bytes("""{"a":1}"""), null);
        StoredGrainState stored = (await Store.ReadAsync(Address))!;
        Text(stored).ShouldBe("""{"a":1}""");
        stored.Etag.ShouldBe(etag);
        string next = await Store.WriteAsync(Address, Bytes("""{"a":2}"""), etag);
        next.ShouldNotBe(etag);
        Text((await Store.ReadAsync(Address))!).ShouldBe("""{"a":2}""");
    }

    [Fact]
    public async Task A_writer_with_a_stale_tag_is_refused_and_changes_nothing()
    {
        string stale = await Store.WriteAsync(Address, Bytes("1"), null);
        string current = await Store.WriteAsync(Address, Bytes("2"), stale);
        InconsistentStateException refused = await Should.ThrowAsync<InconsistentStateException>(async () => await Store.WriteAsync(Address, Bytes("3"), stale));
        refused.StoredEtag.ShouldBe(current);
        refused.CurrentEtag.ShouldBe(stale);
        await Should.ThrowAsync<InconsistentStateException>(async () => await Store.WriteAsync(Address, Bytes("3"), null));
        await Should.ThrowAsync<InconsistentStateException>(async () => await Store.ClearAsync(Address, stale));
        Text((await Store.ReadAsync(Address))!).ShouldBe("2");
    }

    [Fact]
    public async Task A_cleared_state_is_gone_and_its_tags_never_come_back()
    {
        string etag = await Store.WriteAsync(Address, Bytes("1"), null);
        await Store.ClearAsync(Address, etag);
        (await Store.ReadAsync(Address)).ShouldBeNull();
        await Should.ThrowAsync<InconsistentStateException>(async () => await Store.WriteAsync(Address, Bytes("2"), etag));
        string again = await Store.WriteAsync(Address, Bytes("2"), null);
        again.ShouldNotBe(etag, "or a stale writer could pass for the current one");
    }

    [Fact]
    public async Task Clearing_what_is_not_there_does_nothing()
    {
        await Store.ClearAsync(Address, null);
        (await Store.ReadAsync(Address)).ShouldBeNull();
    }

    [Fact]
    public async Task Names_that_look_alike_stay_apart()
    {
        string long1 = new('x', 400);
        string[] keys = ["a", "A", "a/b", "a\\b", "a.b", "a%2fb", "..", ".", "a b", "ä", "日本", "", "con", long1, long1 + "y", "a\0b"];
        foreach (string key in keys)
        {
            await Store.WriteAsync(Address with { Key = key }, Bytes($"\"{Convert.ToHexString(Encoding.UTF8.GetBytes(key))}\""), null);
        }

        foreach (string key in keys)
        {
            Text((await Store.ReadAsync(Address with { Key = key }))!).ShouldBe($"\"{Convert.ToHexString(Encoding.UTF8.GetBytes(key))}\"");
        }
    }

    [Fact]
    public async Task Writers_that_race_win_one_at_a_time()
    {
        string etag = await Store.WriteAsync(Address, Bytes("0"), null);
        bool[] won = await Task.WhenAll(Enumerable.Range(0, 16).Select(i => Task.Run(async () =>
        {
            try
            {
                await Store.WriteAsync(Address, Bytes($"{i}"), etag);
                return true;
            }
            catch (InconsistentStateException)
            {
                return false;
            }
        })));
        won.Count(w => w).ShouldBe(1);
        int winner = Array.IndexOf(won, true);
        Text((await Store.ReadAsync(Address))!).ShouldBe($"{winner}");
    }

    protected static byte[] Bytes(string json) => Encoding.UTF8.GetBytes(json);

    protected static string Text(StoredGrainState stored) => Encoding.UTF8.GetString(stored.Json.Span);
}
