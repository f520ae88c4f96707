using System.Text;
using EmbeddedOrleans.Storage;
using Orleans.Storage;

namespace EmbeddedOrleans.Tests.Storage;

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
