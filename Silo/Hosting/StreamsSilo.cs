using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Processing;
using OrleansStreams.Silo.Http;
using OrleansStreams.Silo.Samples;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;
using OrleansStreams.Storage.Postgres;

namespace OrleansStreams.Silo.Hosting;

/// <summary>Puts a silo into a host: storage, grains, applications and the client that the host's own code uses.</summary>
public static class StreamsSilo
{
    /// <summary>Opens the storage: a data folder or a database that is in use or cannot be written is told before anything starts.</summary>
    /// <returns>Where the data is, for people.</returns>
    /// <exception cref="StreamsException">DataFolderInUse, StorageError, DiskFull; with PostgreSQL InvalidConfig and IncompatibleState too.</exception>
    public static async Task<string> OpenStorageAsync(this IHost host, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(host);
        var settings = host.Services.GetRequiredService<SiloSettings>();
        if (settings.PostgreSql is not null)
        {
            var database = host.Services.GetRequiredService<PostgresDatabase>();
            await database.StartAsync(cancellationToken);
            ActorRuntimeHosting.UseDatabase(host.Services, database);
            return $"PostgreSQL at {database.Place}";
        }

        _ = host.Services.GetRequiredService<ILogStorage>();

        try
        {
            // The logs' folder is checked by its storage; grain state would fail only at the first request.
            Directory.CreateDirectory(settings.GrainsPath);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new StreamsException(
                StreamsErrorCode.StorageError,
                $"The data folder '{settings.GrainsPath}' cannot be used: {error.Message} Correct its permissions, or choose another data folder.",
                WriteOutcome.NotWritten,
                error);
        }

        return settings.DataPath;
    }

    /// <summary>Adds the silo. The actor runtime is the one that this assembly was built for.</summary>
    public static IHostApplicationBuilder AddStreamsSilo(this IHostApplicationBuilder builder, SiloSettings settings)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(settings);
        builder.Services.AddSingleton(settings);

        // What stops a start is thrown, and told by the program in one line; these would tell it before, with a stack trace.
        var start = new HostStart();
        builder.Services.AddSingleton(start).AddSingleton<IHostedService>(start);
        builder.Logging.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", level => start.IsOver && level >= LogLevel.Warning);
        builder.Logging.AddFilter("Microsoft.AspNetCore.Server.Kestrel", LogLevel.None);
        builder.Logging.AddFilter("Microsoft.AspNetCore.Server.Kestrel.", LogLevel.Warning);
        var orleans = Enum.TryParse<LogLevel>(builder.Configuration["Logging:LogLevel:Orleans"], ignoreCase: true, out var asked) ? asked : LogLevel.Error;
        builder.Logging.AddFilter("Orleans.", level => level >= orleans && !start.HasFailed);
        builder.Services.AddSingleton(TimeProvider.System);
        LateConnections.AddTo(builder.Services);

        // A stop takes a second or a few; a database that is away is waited for 15 s by default. Kubernetes kills after 30 s unless told otherwise.
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = TimeSpan.FromSeconds(25));
        builder.Services.AddSingleton(Random.Shared);
        if (settings.PostgreSql is { } connection)
        {
            builder.Services.AddPostgresLogStorage(new PostgresOptions
            {
                ConnectionString = connection,
                Schema = settings.PostgreSqlSchema,
                Migrate = settings.Migrate,
                IsExclusive = ActorRuntimeHosting.IsSingleProcess,
                WriterConnections = settings.PostgreSqlWriters,
                ReaderConnections = settings.PostgreSqlReaders,
                UnavailableMax = settings.PostgreSqlPatience,
                TailCacheBytes = settings.TailCacheBytes,
            });
        }
        else
        {
            builder.Services.AddFileLogStorage(new FileLogStorageOptions
            {
                RootPath = settings.LogsPath,
                TailCacheBytes = settings.TailCacheBytes,
                SpareBufferBytes = Math.Max(8L * 1024 * 1024, settings.TailCacheBytes),
                JournalBytes = settings.JournalBytes,
                OpenFilesMax = settings.OpenFilesMax,
            });
        }

        var streams = new StreamsOptions { Flush = settings.Flush, FlushInterval = settings.FlushInterval, MaintenanceInterval = settings.MaintenanceInterval };
        builder.Services.AddSingleton(new ProcessingOptions { Guarantee = settings.Guarantee, CommitInterval = settings.CommitInterval, StateBytesMax = settings.StateBytesMax });
        builder.Services.AddStreamsGrains(LimitsOf(settings).Aggregate(streams, (options, limit) => limit.Limit.Apply(options, limit.Value)));
        builder.Services.Configure<StreamsApiOptions>(options => LimitsOf(settings).ForEach(limit => limit.Limit.ApplyToApi(options, (int)Math.Min(limit.Value, int.MaxValue))));
        builder.Services.AddStreamsClient();
        builder.Services.AddStreamApplication(FlightDelays.Name, (flights, parameters) => FlightDelays.Build(flights, parameters, settings.DataPath));
        builder.AddActorRuntime(settings);
        builder.Services.AddPartitionUpkeep();
        builder.Services.AddStreamApplicationStarter();
        return builder;
    }

    private static List<(SiloLimit Limit, long Value)> LimitsOf(SiloSettings settings) =>
        [.. SiloLimit.All.Where(limit => settings.Limits.ContainsKey(limit.Name)).Select(limit => (limit, settings.Limits[limit.Name]))];
}
