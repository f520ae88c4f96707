using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;
using Orleans;
using OrleansStreams.Silo.Hosting;
using OrleansStreams.Silo.Http;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.Silo.Tests;

/// <summary>A real silo in this process: Kestrel on a free port, the build's actor runtime, files in a temporary folder.</summary>
public sealed class TestSilo : IAsyncDisposable
{
    private readonly WebApplication app;
    private readonly string folder;

    private TestSilo(WebApplication app, string folder)
    {
        this.app = app;
        this.folder = folder;
        Http = new HttpClient { BaseAddress = new Uri(app.Urls.Single()), Timeout = TimeSpan.FromSeconds(60) };
    }

    public HttpClient Http { get; }

    public string Address => Http.BaseAddress!.ToString().TrimEnd('/');

    public IServiceProvider Services => app.Services;

    /// <summary>Starts a silo; <paramref name="configure"/> may narrow the bounds of the API.</summary>
    public static async Task<TestSilo> StartAsync(Action<StreamsApiOptions>? configure = null, Action<IServiceCollection>? services = null)
    {
        var folder = Directory.CreateTempSubdirectory("silo-tests-").FullName;
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton(Random.Shared);
        builder.Services.AddSingleton<ILogStorage, FileLogStorage>();
        builder.Services.AddSingleton(new FileLogStorageOptions { RootPath = Path.Combine(folder, "logs") });
        builder.Services.AddStreamsGrains(new OrleansStreams.Log.StreamsOptions { Flush = FlushMode.OperatingSystem });
        builder.Services.AddStreamsClient();
        var settings = new SiloSettings { DataPath = folder, Cluster = new ClusterSettings { SiloPort = 0, GatewayPort = 0 } };
        builder.Services.AddSingleton(settings);
        builder.AddActorRuntime(settings);
        builder.Services.AddStreamsApi();
        builder.Services.Configure(configure ?? (_ => { }));
        services?.Invoke(builder.Services);
        var app = builder.Build();
        app.MapStreamsApi();
        await app.StartAsync();
        return new TestSilo(app, folder);
    }

    /// <summary>Creates a topic with a name of its own.</summary>
    public async Task<string> CreateTopicAsync(int partitions = 1, Dictionary<string, object>? config = null)
    {
        var name = $"t-{Guid.NewGuid():N}";
        await SendAsync(HttpMethod.Post, "/topics", new { name, partitions, config }, HttpStatusCode.Created);
        return name;
    }

    public Task<JsonElement> GetAsync(string path, HttpStatusCode expected = HttpStatusCode.OK) => SendAsync(HttpMethod.Get, path, null, expected);

    public Task<JsonElement> PostAsync(string path, object body, HttpStatusCode expected = HttpStatusCode.OK) => SendAsync(HttpMethod.Post, path, body, expected);

    public async Task<JsonElement> SendAsync(HttpMethod method, string path, object? body, HttpStatusCode expected)
    {
        using var request = new HttpRequestMessage(method, path);
        if (body is not null)
        {
            request.Content = body as HttpContent ?? JsonContent.Create(body);
        }

        using var response = await Http.SendAsync(request);
        var text = await response.Content.ReadAsStringAsync();
        response.StatusCode.ShouldBe(expected, text);
        return text.Length == 0 ? default : JsonDocument.Parse(text).RootElement;
    }

    /// <summary>Sends a request that must fail, checks the form of the problem document and its code.</summary>
    public async Task<JsonElement> RefusedAsync(HttpMethod method, string path, object? body, StreamsErrorCode code, HttpStatusCode? status = null)
    {
        using var request = new HttpRequestMessage(method, path);
        request.Content = body switch
        {
            null => null,
            HttpContent content => content,
            string text => new StringContent(text, Encoding.UTF8, "application/json"),
            _ => JsonContent.Create(body),
        };
        using var response = await Http.SendAsync(request);
        var answer = await response.Content.ReadAsStringAsync();
        ((int)response.StatusCode).ShouldBe((int?)status ?? ErrorTable.HttpStatusOf(code), answer);
        response.Content.Headers.ContentType!.MediaType.ShouldBe("application/problem+json", answer);
        var problem = JsonDocument.Parse(answer).RootElement;
        problem.GetProperty("code").GetString().ShouldBe(code.ToString(), answer);
        problem.GetProperty("status").GetInt32().ShouldBe((int)response.StatusCode);
        problem.GetProperty("retriable").GetBoolean().ShouldBe(ErrorTable.IsRetriable(code));
        problem.GetProperty("title").GetString().ShouldNotBeNullOrWhiteSpace();
        problem.GetProperty("detail").GetString().ShouldNotBeNullOrWhiteSpace();
        answer.ShouldNotContain("   at ");
        answer.ShouldNotContain(".cs:");
        return problem;
    }

    public async Task<long> HighWatermarkAsync(string topic, int partition = 0) =>
        (await GetAsync($"/topics/{topic}")).GetProperty("partitions")[partition].GetProperty("highWatermark").GetInt64();

    /// <summary>Stops the server the way SIGTERM does.</summary>
    public Task StopAsync() => app.StopAsync();

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await app.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }
}

/// <summary>One silo for the tests of a collection; they keep apart by topics and groups of their own.</summary>
public sealed class SiloFixture : IAsyncLifetime
{
    public TestSilo Silo { get; private set; } = null!;

    public async Task InitializeAsync() => Silo = await TestSilo.StartAsync();

    public async Task DisposeAsync() => await Silo.DisposeAsync();
}

[CollectionDefinition(Name)]
public sealed class SiloCollection : ICollectionFixture<SiloFixture>
{
    public const string Name = "one silo";
}
