using EmbeddedOrleans.Hosting;

namespace OrleansStreams.Silo.Hosting;

/// <summary>The embedded actor runtime: one silo, in this process, with grain state in files.</summary>
internal static class ActorRuntimeHosting
{
    /// <summary>The runtime's name, for people.</summary>
    public const string Name = "embedded";

    public static void AddActorRuntime(this IHostApplicationBuilder builder, SiloSettings settings) => builder.UseEmbeddedOrleans(silo =>
    {
        silo.AddGrainAssembly(typeof(StreamsServiceCollectionExtensions).Assembly);
        silo.AddFileGrainStorage("streams", settings.GrainsPath);
    });
}
