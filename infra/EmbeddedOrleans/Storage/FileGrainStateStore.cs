using System.Globalization;
using System.Numerics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace EmbeddedOrleans.Storage;

/// <summary>
/// Keeps each state in a file of its own. A file is a header line and the state:
/// <code>
/// {"format":1,"grain":"topic","key":"flights","state":"config","etag":"3","bytes":57,"crc32C":"1c291ca3","cleared":false}\n
/// {"Partitions":4, ...}
/// </code>
/// A write goes to a temporary file, is flushed, renamed over the old file, and the folder is flushed: whenever the process or the
/// machine dies, either the old or the new state is there, whole. The checksum finds what a disk did to it later.
/// </summary>
internal sealed class FileGrainStateStore : IGrainStateStore
{
    private const int Format = 1;
    private const int NameLengthMax = 120;

    private static readonly JsonSerializerOptions s_headerJson = new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    private readonly string _directory;
    private readonly Lock[] _locks = new Lock[32];

    internal FileGrainStateStore(string directory)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        _directory = Path.GetFullPath(directory);
        for (int i = 0; i < _locks.Length; i++)
        {
            _locks[i] = new Lock();
        }
    }

    /// <summary>Called between the flush of the temporary file and the rename; tests let it fail there.</summary>
    internal Action<string>? BeforeRename { get; init; }

    // Files are read and written on the pool, so that a slow disk holds up no grain's turn.
    public ValueTask<StoredGrainState?> ReadAsync(GrainStateAddress address) => new(Task.Run(() =>
    {
        lock (LockOf(address))
        {
            return Load(address) is { Cleared: false } file ? new StoredGrainState(file.Json, file.Etag) : null;
        }
    }));

    public ValueTask<string> WriteAsync(GrainStateAddress address, ReadOnlyMemory<byte> json, string? expectedEtag) => new(Task.Run(() =>
    {
        lock (LockOf(address))
        {
            string? last = CheckEtag(address, expectedEtag);
            string etag = Etags.Next(last);
            Replace(PathOf(address), Encode(address, json.Span, etag, cleared: false));
            return etag;
        }
    }));

    public ValueTask ClearAsync(GrainStateAddress address, string? expectedEtag) => new(Task.Run(() =>
    {
        lock (LockOf(address))
        {
            CheckEtag(address, expectedEtag);
            if (expectedEtag is not null)
            {
                // The header stays, so that tags go on and a stale writer never meets its own tag again.
                Replace(PathOf(address), Encode(address, [], expectedEtag, cleared: true));
            }
        }
    }));

    internal string PathOf(GrainStateAddress address) =>
        Path.Combine(_directory, Encode(address.GrainType), $"{Encode(address.Key)}.{Encode(address.StateName)}.json");

    /// <summary>A file name that differs for every text, on file systems that ignore case too, and reads like the text where it can.</summary>
    private static string Encode(string text)
    {
        var name = new StringBuilder(text.Length);
        foreach (byte b in Encoding.UTF8.GetBytes(text))
        {
            if (b is (>= (byte)'a' and <= (byte)'z') or (>= (byte)'0' and <= (byte)'9') or (byte)'-' or (byte)'_')
            {
                name.Append((char)b);
            }
            else
            {
                name.Append(CultureInfo.InvariantCulture, $"%{b:x2}");
            }
        }

        return name.Length <= NameLengthMax
            ? name.ToString()
            : $"{name.ToString(0, NameLengthMax - 65)}~{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)))}";
    }

    private static byte[] Encode(GrainStateAddress address, ReadOnlySpan<byte> json, string etag, bool cleared)
    {
        var header = new Header(Format, address.GrainType, address.Key, address.StateName, etag, json.Length, Checksum(json), cleared);
        byte[] head = JsonSerializer.SerializeToUtf8Bytes(header, s_headerJson);
        byte[] file = new byte[head.Length + 1 + json.Length];
        head.CopyTo(file, 0);
        file[head.Length] = (byte)'\n';
        json.CopyTo(file.AsSpan(head.Length + 1));
        return file;
    }

    private static string Checksum(ReadOnlySpan<byte> json)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in json)
        {
            crc = BitOperations.Crc32C(crc, b);
        }

        return (~crc).ToString("x8", CultureInfo.InvariantCulture);
    }

    private Lock LockOf(GrainStateAddress address) => _locks[(uint)address.GetHashCode() % _locks.Length];

    /// <summary>Checks the stored tag; returns the last one ever given out.</summary>
    private string? CheckEtag(GrainStateAddress address, string? expected)
    {
        StateFile? file = Load(address);
        Etags.Check(address, file is { Cleared: false } ? file.Etag : null, expected);
        return file?.Etag;
    }

    private StateFile? Load(GrainStateAddress address)
    {
        string path = PathOf(address);
        byte[] file;
        try
        {
            file = File.ReadAllBytes(path);
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }

        int end = file.AsSpan().IndexOf((byte)'\n');
        Header? header = null;
        try
        {
            header = end < 0 ? null : JsonSerializer.Deserialize<Header>(file.AsSpan(0, end), s_headerJson);
        }
        catch (JsonException)
        {
            // Reported below like any other damage.
        }

        if (header is null)
        {
            throw Corrupt(path, "has no readable header");
        }

        if (header.Format != Format)
        {
            throw Corrupt(path, $"has format {header.Format}; this version reads format {Format}");
        }

        ReadOnlyMemory<byte> json = file.AsMemory(end + 1);
        if (json.Length != header.Bytes || Checksum(json.Span) != header.Crc32C || !long.TryParse(header.Etag, CultureInfo.InvariantCulture, out _))
        {
            throw Corrupt(path, "is damaged: its length or checksum is wrong");
        }

        if (header.Grain != address.GrainType || header.Key != address.Key || header.State != address.StateName)
        {
            throw Corrupt(path, $"holds the state of {header.Grain}/{header.Key}/{header.State}, not of {address}");
        }

        return new StateFile(json, header.Etag, header.Cleared);
    }

    private void Replace(string path, byte[] content)
    {
        string directory = Path.GetDirectoryName(path)!;
        if (!Directory.Exists(directory))
        {
            Directory.CreateDirectory(directory);
            DirectoryFlush.Flush(_directory);
        }

        string temporary = path + ".tmp";
        using (Microsoft.Win32.SafeHandles.SafeFileHandle handle = File.OpenHandle(temporary, FileMode.Create, FileAccess.Write, FileShare.None))
        {
            RandomAccess.Write(handle, content, 0);
            RandomAccess.FlushToDisk(handle);
        }

        BeforeRename?.Invoke(temporary);
        File.Move(temporary, path, overwrite: true);
        DirectoryFlush.Flush(directory);
    }

    private static GrainStateCorruptException Corrupt(string path, string what) =>
        new($"The grain state file {path} {what}. Restore it from a backup, or delete it to start this state anew.");

    private sealed record StateFile(ReadOnlyMemory<byte> Json, string Etag, bool Cleared);

    private sealed record Header(int Format, string Grain, string Key, string State, string Etag, long Bytes, string Crc32C, bool Cleared);
}
