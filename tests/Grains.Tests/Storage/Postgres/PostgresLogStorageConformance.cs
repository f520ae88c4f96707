using OrleansStreams.Storage;
using OrleansStreams.Storage.Postgres;
using OrleansStreams.Tests.Conformance;
using OrleansStreams.Tests.Postgres;

namespace OrleansStreams.Tests.Storage.Postgres;

public sealed class PostgresLogStorageConformance : LogStorageConformance
{
    private PostgresOptions _options = null!;

    protected override int ModelSeeds => 12;

    protected override async ValueTask<ILogStorage> CreateAsync()
    {
        // Few rows at a time, so that short tests delete in several steps.
        _options = (await PostgresServer.SharedAsync).Options() with { DeleteRowsMax = 7, RoundBytesMax = 64 * 1024 };
        return new OwnDatabaseStorage(_options);
    }

    protected override async ValueTask<ILogStorage> RestartAsync(ILogStorage storage)
    {
        await storage.DisposeAsync();
        return new OwnDatabaseStorage(_options);
    }
}

/// <summary>A storage that takes its database along when it is disposed.</summary>
internal sealed class OwnDatabaseStorage : ILogStorage
{
    public OwnDatabaseStorage(PostgresOptions options, TimeProvider? time = null)
    {
        Database = new PostgresDatabase(options, time ?? TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLogger<PostgresDatabase>.Instance);
        Inner = new PostgresLogStorage(Database);
    }

    public PostgresDatabase Database { get; }

    public PostgresLogStorage Inner { get; }

    public ValueTask<ILog> OpenAsync(LogId id, LogOptions options, CancellationToken cancellationToken = default) => Inner.OpenAsync(id, options, cancellationToken);

    public ValueTask DeleteAsync(LogId id, CancellationToken cancellationToken = default) => Inner.DeleteAsync(id, cancellationToken);

    public ValueTask<IReadOnlyList<LogId>> ListAsync(string prefix, CancellationToken cancellationToken = default) => Inner.ListAsync(prefix, cancellationToken);

    public async ValueTask DisposeAsync()
    {
        await Inner.DisposeAsync();
        await Database.DisposeAsync();
    }
}
