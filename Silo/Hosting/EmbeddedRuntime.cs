using EmbeddedOrleans.Hosting;
using OrleansStreams.Storage.Postgres;

namespace OrleansStreams.Silo.Hosting;

/// <summary>The embedded actor runtime: one silo, in this process, with grain state in files, or in PostgreSQL beside the logs.</summary>
internal static class ActorRuntimeHosting
{
    /// <summary>The runtime's name, for people.</summary>
    public const string Name = "embedded";

    /// <summary>Whether one process at a time may use the storage.</summary>
    public static bool IsSingleProcess => true;

    public static void AddActorRuntime(this IHostApplicationBuilder builder, SiloSettings settings) => builder.UseEmbeddedOrleans(silo =>
    {
        silo.AddGrainAssembly(typeof(StreamsServiceCollectionExtensions).Assembly);
        if (settings.PostgreSql is null)
        {
            silo.AddFileGrainStorage("streams", settings.GrainsPath);
            return;
        }

        var store = new PostgresStateStore();
        builder.Services.AddSingleton(store);
        silo.AddGrainStorage("streams", store);
    });

    /// <summary>Once the database is connected.</summary>
    public static void UseDatabase(IServiceProvider services, PostgresDatabase database) =>
        services.GetService<PostgresStateStore>()?.Connect(database, services.GetRequiredService<Random>());
}
