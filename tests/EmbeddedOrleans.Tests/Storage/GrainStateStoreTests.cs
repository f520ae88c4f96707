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

public sealed class MemoryGrainStateStoreTests : GrainStateStoreTests
{
    private protected override IGrainStateStore Store { get; } = new MemoryGrainStateStore();

    [Fact]
    public async Task The_writers_buffer_is_not_kept()
    {
        byte[] buffer = Bytes("1");
        await Store.WriteAsync(Address, buffer, null);
        buffer[0] = (byte)'9';
        Text((await Store.ReadAsync(Address))!).ShouldBe("1");
    }
}

public sealed class FileGrainStateStoreTests : GrainStateStoreTests, IDisposable
{
    private readonly string _directory = Path.Combine(Path.GetTempPath(), $"grain-state-{Guid.NewGuid():N}");

    public FileGrainStateStoreTests() => Store = new FileGrainStateStore(_directory);

    private protected override IGrainStateStore Store { get; }

    private string FilePath => ((FileGrainStateStore)Store).PathOf(Address);

    [Fact]
    public async Task States_outlive_the_store()
    {
        string etag = await Store.WriteAsync(Address, Bytes("1"), null);
        var reopened = new FileGrainStateStore(_directory);
        StoredGrainState stored = (await reopened.ReadAsync(Address))!;
        Text(stored).ShouldBe("1");
        await reopened.WriteAsync(Address, Bytes("2"), etag);
    }

    [Fact]
    public async Task A_crash_between_the_write_and_the_rename_leaves_the_old_state()
    {
        string etag = await Store.WriteAsync(Address, Bytes("1"), null);
        var crashing = new FileGrainStateStore(_directory) { BeforeRename = _ => throw new IOException("crash") };
        await Should.ThrowAsync<IOException>(async () => await crashing.WriteAsync(Address, Bytes("2"), etag));
        File.Exists(FilePath + ".tmp").ShouldBeTrue("the crash left its temporary file");
        var reopened = new FileGrainStateStore(_directory);
        Text((await reopened.ReadAsync(Address))!).ShouldBe("1");
        await reopened.WriteAsync(Address, Bytes("3"), etag);
        Text((await reopened.ReadAsync(Address))!).ShouldBe("3");
        File.Exists(FilePath + ".tmp").ShouldBeFalse();
    }

    [Fact]
    public async Task A_torn_temporary_file_is_never_read()
    {
        string etag = await Store.WriteAsync(Address, Bytes("""{"long":"state"}"""), null);
        byte[] whole = await File.ReadAllBytesAsync(FilePath);
        await File.WriteAllBytesAsync(FilePath + ".tmp", whole[..(whole.Length / 2)]);
        StoredGrainState stored = (await Store.ReadAsync(Address))!;
        Text(stored).ShouldBe("""{"long":"state"}""");
        await Store.WriteAsync(Address, Bytes("2"), etag);
        Text((await Store.ReadAsync(Address))!).ShouldBe("2");
    }

    [Fact]
    public async Task Every_damaged_byte_and_every_cut_is_found_and_named()
    {
        await Store.WriteAsync(Address, Bytes("""{"count":12345}"""), null);
        byte[] whole = await File.ReadAllBytesAsync(FilePath);
        for (int i = 0; i < whole.Length; i++)
        {
            byte[] damaged = (byte[])whole.Clone();
            damaged[i] ^= 0x02;
            await File.WriteAllBytesAsync(FilePath, damaged);
            await ReadsTheSameOrFails(whole, i);
            await File.WriteAllBytesAsync(FilePath, whole[..i]);
            GrainStateCorruptException cut = await Should.ThrowAsync<GrainStateCorruptException>(async () => await Store.ReadAsync(Address));
            cut.Message.ShouldContain(FilePath);
        }
    }

    [Fact]
    public async Task A_damaged_state_is_not_overwritten_unseen()
    {
        string etag = await Store.WriteAsync(Address, Bytes("1"), null);
        await File.WriteAllTextAsync(FilePath, "rubbish");
        await Should.ThrowAsync<GrainStateCorruptException>(async () => await Store.WriteAsync(Address, Bytes("2"), etag));
        (await File.ReadAllTextAsync(FilePath)).ShouldBe("rubbish");
    }

    [Fact]
    public async Task A_file_in_the_wrong_place_is_refused()
    {
        await Store.WriteAsync(Address, Bytes("1"), null);
        GrainStateAddress other = Address with { Key = "other" };
        File.Copy(FilePath, ((FileGrainStateStore)Store).PathOf(other));
        (await Should.ThrowAsync<GrainStateCorruptException>(async () => await Store.ReadAsync(other))).Message.ShouldContain("probe/key/state");
    }

    public void Dispose()
    {
        if (Directory.Exists(_directory))
        {
            Directory.Delete(_directory, recursive: true);
        }
    }

    // A flip inside the header's etag digits or in a JSON name's case may leave a valid file; the state itself must then be unchanged.
    private async Task ReadsTheSameOrFails(byte[] whole, int flipped)
    {
        int header = Array.IndexOf(whole, (byte)'\n');
        try
        {
            StoredGrainState? stored = await Store.ReadAsync(Address);
            flipped.ShouldBeLessThan(header, "damage in the state itself must be found");
            Text(stored!).ShouldBe("""{"count":12345}""");
        }
        catch (GrainStateCorruptException)
        {
            // Found.
        }
    }
}
