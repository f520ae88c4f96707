namespace OrleansStreams.Silo.Hosting;

/// <summary>
/// Where settings come from. The silo's own: appsettings.json, variables with the prefix <c>STREAMS_</c> (with _ where the setting has -), the command line, the later
/// winning; no other variables, whose short names (DATA, SAMPLE) may mean anything on somebody's machine. ASP.NET Core's: as everywhere, and those two on top.
/// </summary>
internal static class SiloConfiguration
{
    /// <summary>Where the HTTP API listens when nothing says it.</summary>
    public const string UrlsAbsent = "http://127.0.0.1:8080";

    private const string Prefix = "STREAMS_";

    /// <summary>Adds the sources of ASP.NET Core's settings to the builder, and reads the silo's own.</summary>
    /// <exception cref="StreamsException">InvalidConfig, naming the setting.</exception>
    public static SiloSettings ReadSettings(this WebApplicationBuilder builder, string[] args)
    {
        builder.Configuration.AddEnvironmentVariables(Prefix).AddCommandLine(args);
        SiloSettings.CheckUrls(builder.Configuration["urls"]);

        // Not a value in appsettings.json, which would win over ASPNETCORE_URLS and the ports that container images set.
        var isTold = ((string[])["urls", "http_ports", "https_ports"]).Any(name => !string.IsNullOrEmpty(builder.Configuration[name]))
            || builder.Configuration.GetSection("Kestrel:Endpoints").GetChildren().Any();
        if (!isTold)
        {
            builder.WebHost.UseUrls(UrlsAbsent);
        }

        return SiloSettings.From(Own(builder.Environment, args));
    }

    private static IConfigurationRoot Own(IHostEnvironment environment, string[] args) => new ConfigurationBuilder()
        .SetBasePath(environment.ContentRootPath)
        .AddJsonFile("appsettings.json", optional: true)
        .AddJsonFile($"appsettings.{environment.EnvironmentName}.json", optional: true)
        .AddInMemoryCollection(Variables(string.Empty).Where(variable => variable.Key.StartsWith("ConnectionStrings:", StringComparison.OrdinalIgnoreCase)))
        .AddInMemoryCollection(Variables(Prefix).Select(variable => KeyValuePair.Create(variable.Key.Replace('_', '-'), variable.Value)))
        .AddCommandLine(args)
        .Build();

    private static IEnumerable<KeyValuePair<string, string?>> Variables(string prefix) =>
        new ConfigurationBuilder().AddEnvironmentVariables(prefix).Build().AsEnumerable().Where(variable => variable.Value is not null);
}
