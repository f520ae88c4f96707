using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Processing;
using OrleansStreams.Processing.Journal;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.Benchmarks.State;

/// <summary>A task engine with its journal in files of its own, as a task has it; what is appended is left to the operating system to flush, whose disk is not what is measured.</summary>
internal sealed class JournaledEngine : IAsyncDisposable
{
    private readonly string _folder;
    private readonly FileLogStorage _storage;
    private readonly TaskJournal _journal;

    private JournaledEngine(string folder, FileLogStorage storage, TaskJournal journal, TaskEngine engine)
    {
        _folder = folder;
        _storage = storage;
        _journal = journal;
        Engine = engine;
    }

    public static LogOptions Options => new ProcessingOptions().Journal with { Flush = FlushMode.OperatingSystem };

    public TaskEngine Engine { get; }

    /// <summary>Whether a snapshot is under way.</summary>
    public bool IsSnapshotUnderWay { get; private set; }

    /// <summary>Snapshots that have ended.</summary>
    public int Snapshots { get; private set; }

    /// <summary>How long the last commit held processing up, in ms: to make it, without the append.</summary>
    public double LastPauseMs { get; private set; }

    public static async Task<JournaledEngine> BeginAsync(TaskPlan plan)
    {
        var folder = Directory.CreateTempSubdirectory("streams-state-").FullName;
        var storage = Storage(folder);
        var journal = await TaskJournal.OpenAsync(storage, TaskJournal.IdOf(plan.Application, plan.TaskId), Options, CancellationToken.None);
        var engine = new TaskEngine(plan);
        engine.Begin(1, [0], null);
        return new JournaledEngine(folder, storage, journal, engine);
    }

    public static FileLogStorage Storage(string folder) => new(new FileLogStorageOptions { RootPath = folder }, TimeProvider.System, NullLogger<FileLogStorage>.Instance);

    public void Process(byte[] batch)
    {
        RecordBatch.StampOffsetAndEpoch(batch, Engine.PositionOf(0), 0);
        Engine.ProcessBatch(0, batch);
    }

    /// <summary>Commits: from the changes to the append that has returned.</summary>
    public async Task CommitAsync()
    {
        var begin = Stopwatch.GetTimestamp();
        var commit = Engine.Drain();
        LastPauseMs = Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
        await _journal.AppendAsync(commit, 0);
        IsSnapshotUnderWay = (IsSnapshotUnderWay || commit.BeginsSnapshot) && !commit.EndsSnapshot;
        if (commit.EndsSnapshot)
        {
            Snapshots++;
            await _journal.TruncateAsync(CancellationToken.None);
        }
    }

    /// <summary>Ends, and leaves the files in their folder to the caller.</summary>
    public async Task<string> CloseAsync()
    {
        await _journal.DisposeAsync();
        await _storage.DisposeAsync();
        return _folder;
    }

    public async ValueTask DisposeAsync() => Directory.Delete(await CloseAsync(), recursive: true);
}
