using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using OrleansStreams.Errors;
using OrleansStreams.Silo.Hosting;
using OrleansStreams.Silo.Http;

namespace OrleansStreams.Infra.Tests;

/// <summary>What the silo knows of itself, taken from its own code: settings, routes, times.</summary>
internal static class SiloFacts
{
    private const string Prefix = "STREAMS_";

    private static readonly Lazy<(string[] Routes, TimeSpan Shutdown)> Built = new(Build);

    /// <summary>The templates of all routes of the HTTP API.</summary>
    public static string[] Routes => Built.Value.Routes;

    /// <summary>How long the host waits at most for all that has to end.</summary>
    public static TimeSpan ShutdownTimeout => Built.Value.Shutdown;

    public static bool HasRoute(string path) => Routes.Contains(path);

    public static bool HasOption(string option) => SiloCommandLine.Usage([$"--{option}", "x"]) is null;

    /// <summary>What is wrong with a container's variables, as the silo would read them.</summary>
    public static IEnumerable<string> FaultsOf(IReadOnlyDictionary<string, string> variables)
    {
        foreach (var name in variables.Keys.Where(name => name.StartsWith(Prefix, StringComparison.Ordinal) && !HasOption(OptionOf(name))))
        {
            yield return $"{name} is no setting of the silo";
        }

        string? refusal = null;
        try
        {
            SettingsOf(variables);
        }
        catch (StreamsException error)
        {
            refusal = error.Message;
        }

        if (refusal is not null)
        {
            yield return $"the silo refuses: {refusal}";
        }
    }

    public static SiloSettings SettingsOf(IReadOnlyDictionary<string, string> variables) => SiloSettings.From(new ConfigurationBuilder()
        .AddInMemoryCollection(variables.Where(variable => variable.Key.StartsWith(Prefix, StringComparison.Ordinal))
            .Select(variable => KeyValuePair.Create(OptionOf(variable.Key), (string?)variable.Value))
            .Where(setting => IsForThisBuild(setting.Key)))
        .Build());

    private static string OptionOf(string variable) => variable[Prefix.Length..].Replace('_', '-').ToLowerInvariant();

    // The embedded build refuses what only a cluster can do; that the setting is known is checked in both.
    private static bool IsForThisBuild(string option) => ActorRuntimeHosting.Name == "orleans" || option != "advertised-address";

    private static (string[] Routes, TimeSpan Shutdown) Build()
    {
        var builder = WebApplication.CreateBuilder();
        builder.AddStreamsSilo(new SiloSettings { DataPath = Path.GetTempPath(), Cluster = new ClusterSettings { SiloPort = 0, GatewayPort = 0 } });
        builder.Services.AddStreamsApi();
        var app = builder.Build();
        app.MapStreamsApi();
        var routes = ((IEndpointRouteBuilder)app).DataSources.SelectMany(source => source.Endpoints).OfType<RouteEndpoint>()
            .Select(endpoint => "/" + endpoint.RoutePattern.RawText!.Trim('/')).Distinct().ToArray();
        return (routes, app.Services.GetRequiredService<IOptions<HostOptions>>().Value.ShutdownTimeout);
    }
}
