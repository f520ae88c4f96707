using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;
using OrleansStreams.Tests.Conformance;

namespace OrleansStreams.Tests.Storage;

public sealed class MemoryLogStorageConformance : LogStorageConformance
{
    protected override ValueTask<ILogStorage> CreateAsync() => ValueTask.FromResult<ILogStorage>(new MemoryLogStorage());

    protected override ValueTask<ILogStorage> RestartAsync(ILogStorage storage) => ValueTask.FromResult(storage);
}

public sealed class HookedMemoryLogStorageConformance : LogStorageConformance
{
    protected override ValueTask<ILogStorage> CreateAsync() => ValueTask.FromResult<ILogStorage>(
        new MemoryLogStorage { BeforeWrite = async _ => await Task.Yield(), AfterWrite = async _ => await Task.Yield() });

    protected override ValueTask<ILogStorage> RestartAsync(ILogStorage storage) => ValueTask.FromResult(storage);
}

public sealed class FileLogStorageConformance : LogStorageConformance, IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("log-storage-").FullName;
    private int _count;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    protected override ValueTask<ILogStorage> CreateAsync() => Create($"{_root}/{++_count}");

    protected override async ValueTask<ILogStorage> RestartAsync(ILogStorage storage)
    {
        await storage.DisposeAsync();
        return await Create($"{_root}/{_count}");
    }

    private static ValueTask<ILogStorage> Create(string root) => ValueTask.FromResult<ILogStorage>(
        new FileLogStorage(new FileLogStorageOptions { RootPath = root }, TimeProvider.System, NullLogger<FileLogStorage>.Instance));
}

/// <summary>The same without any cache, journal or spare file handle, so that every read goes to a disk, which is a simulated one.</summary>
public sealed class UncachedFileLogStorageConformance : LogStorageConformance
{
    private SimulatedDisk _disk = new();

    protected override ValueTask<ILogStorage> CreateAsync()
    {
        _disk = new SimulatedDisk();
        return Create();
    }

    protected override async ValueTask<ILogStorage> RestartAsync(ILogStorage storage)
    {
        await storage.DisposeAsync();
        return await Create();
    }

    private ValueTask<ILogStorage> Create() => ValueTask.FromResult<ILogStorage>(new FileLogStorage(
        new FileLogStorageOptions { RootPath = "/data", TailCacheBytes = 0, JournalBytes = 0, OpenFilesMax = 1 }, _disk, TimeProvider.System, NullLogger.Instance));
}
