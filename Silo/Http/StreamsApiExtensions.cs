using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.DependencyInjection.Extensions;
using OrleansStreams.Clients;
using OrleansStreams.Silo.Http.Applications;
using OrleansStreams.Silo.Http.Groups;
using OrleansStreams.Silo.Http.Health;
using OrleansStreams.Silo.Http.Metrics;
using OrleansStreams.Silo.Http.Problems;
using OrleansStreams.Silo.Http.Records;
using OrleansStreams.Silo.Http.Topics;

namespace OrleansStreams.Silo.Http;

/// <summary>Adds the HTTP API of Orleans.Streams to a web application. The host must register <see cref="IGrainFactory"/>.</summary>
public static class StreamsApiExtensions
{
    /// <summary>Registers what the HTTP API needs: JSON settings, the OpenAPI document, one shared producer, readiness probes, the metrics collector.</summary>
    public static IServiceCollection AddStreamsApi(this IServiceCollection services)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.AddOptions<StreamsApiOptions>();
        services.ConfigureHttpJsonOptions(options =>
        {
            options.SerializerOptions.DefaultIgnoreCondition = JsonIgnoreCondition.Never;
            options.SerializerOptions.UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow;
            options.SerializerOptions.Converters.Add(new JsonStringEnumConverter(JsonNamingPolicy.CamelCase, allowIntegerValues: false));
        });
        services.AddOpenApi("v1", options => options.AddDocumentTransformer((document, _, _) =>
        {
            document.Info.Title = "Orleans.Streams";
            document.Info.Version = "v1";
            document.Info.Description = "Topics, records, consumer groups and stream applications. Every error is application/problem+json with code and retriable.";
            return Task.CompletedTask;
        }));
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<SharedProducers>();
        services.AddStreamsClient();
        services.TryAddSingleton<MetricsCollector>();
        services.AddSingleton<IReadinessProbe, LifetimeProbe>();
        services.AddSingleton<IReadinessProbe, StorageProbe>();
        services.AddTransient<IStartupFilter, EmptyErrorFilter>();
        return services;
    }

    /// <summary>Maps every resource, the health checks, <c>/metrics</c> and the OpenAPI document at <c>/openapi/v1.json</c>.</summary>
    public static IEndpointRouteBuilder MapStreamsApi(this IEndpointRouteBuilder endpoints)
    {
        ArgumentNullException.ThrowIfNull(endpoints);

        // The collector counts only what happens after it listens, so it must be there before the silo starts.
        endpoints.ServiceProvider.GetRequiredService<MetricsCollector>();
        endpoints.MapOpenApi("/openapi/{documentName}.json");
        var api = endpoints.MapGroup(string.Empty).AddEndpointFilter<IEndpointConventionBuilder, ProblemFilter>();
        var routes = (IEndpointRouteBuilder)api;
        TopicHandlers.Map(routes);
        ProduceHandlers.Map(routes);
        FetchHandlers.Map(routes);
        TailHandlers.Map(routes);
        GroupHandlers.Map(routes);
        GroupMemberHandlers.Map(routes);
        ApplicationHandlers.Map(routes);
        StoreHandlers.Map(routes);
        AliasHandlers.Map(routes);
        ChangeHandlers.Map(routes);
        HealthHandlers.Map(routes);
        MetricsHandlers.Map(routes);
        return endpoints;
    }
}
