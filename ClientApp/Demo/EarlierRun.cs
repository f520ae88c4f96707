using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Errors;
using OrleansStreams.Silo.Hosting;
using OrleansStreams.Silo.Samples;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.ClientApp.Demo;

/// <summary>
/// What an earlier demo left in a data folder. It is deleted only when it is recognisably a silo's: <c>--data</c> may name any folder by mistake, and <c>logs</c> is a
/// name that many programs use.
/// </summary>
internal static class EarlierRun
{
    // What the file storage keeps beside its logs; its owner file is there from its first moment on.
    private const string OwnerFile = "owner";
    private static readonly string[] LogEntries = ["lock", OwnerFile, "logs", "journal"];

    /// <summary>Deletes an earlier run, or nothing where there is none.</summary>
    /// <exception cref="StreamsException">InvalidInput when a folder holds what no silo made, DataFolderInUse when a process uses it; nothing was deleted then.</exception>
    public static async Task DeleteAsync(SiloSettings settings)
    {
        var sample = new FlightDelaysSettings { Input = FlightDelaysSettings.ShippedInput, DataPath = settings.DataPath }.Folder;
        string[] folders = [settings.LogsPath, settings.GrainsPath, sample];
        if (!folders.Any(Path.Exists))
        {
            return;
        }

        CheckLogs(settings.LogsPath);
        CheckGrains(settings.GrainsPath);
        CheckSample(sample);
        await new FileLogStorage(new FileLogStorageOptions { RootPath = settings.LogsPath }, TimeProvider.System, NullLogger<FileLogStorage>.Instance).DisposeAsync();
        foreach (var folder in folders.Where(Directory.Exists))
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void CheckLogs(string folder)
    {
        // A silo killed in its first moment has made the folders and no more.
        var isNew = Directory.Exists(Path.Combine(folder, "logs")) && !Directory.EnumerateFileSystemEntries(Path.Combine(folder, "logs")).Any();
        if (!File.Exists(Path.Combine(folder, OwnerFile)) && !isNew)
        {
            throw Foreign(folder, "is not a silo's");
        }

        CheckEntries(folder, name => LogEntries.Contains(name, StringComparer.Ordinal));
    }

    /// <summary>A folder per type of grain, with files of JSON only.</summary>
    private static void CheckGrains(string folder)
    {
        CheckEntries(folder, name => Directory.Exists(Path.Combine(folder, name)));
        foreach (var type in Directory.Exists(folder) ? Directory.GetDirectories(folder) : [])
        {
            CheckEntries(type, name => name.Contains(".json", StringComparison.Ordinal) && File.Exists(Path.Combine(type, name)));
        }
    }

    private static void CheckSample(string folder) => CheckEntries(folder, ArrivalOrder.IsPartOfSample);

    private static void CheckEntries(string folder, Func<string, bool> isOurs)
    {
        if (File.Exists(folder))
        {
            throw Foreign(folder, "is a file");
        }

        if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName).FirstOrDefault(name => !isOurs(name!)) is { } foreign)
        {
            throw Foreign(folder, $"holds '{foreign}', which no silo made");
        }
    }

    private static StreamsException Foreign(string folder, string why) => new(
        StreamsErrorCode.InvalidInput, $"--fresh would delete the folder {folder}, but it {why}; nothing was deleted. Name another folder with --data, or delete it yourself");
}
