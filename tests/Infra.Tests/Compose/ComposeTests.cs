using System.Globalization;
using System.Text.RegularExpressions;
using Npgsql;
using OrleansStreams.Infra.Tests.Docker;
using YamlDotNet.Core;

namespace OrleansStreams.Infra.Tests.Compose;

/// <summary>The compose file against the Dockerfile and the silo.</summary>
public sealed partial class ComposeTests
{
    private const string Folder = "infra/docker";

    private static readonly string Text = Repository.Read($"{Folder}/compose.yaml");
    private static readonly Dockerfile Image = new(Repository.Read($"{Folder}/Dockerfile"));

    [Fact]
    public void The_compose_file_fits_the_silo_and_its_image() => Faults(Text).ShouldBeEmpty();

    [Theory]
    [InlineData("restart: unless-stopped", "restarts: unless-stopped", "restarts")]
    [InlineData("    image: postgres:17.6-bookworm", "    image: postgres:17.6-bookworm\n    image: postgres:17.6", "duplicate key")]
    [InlineData("postgres:17.6-bookworm", "postgres:latest", "postgres:latest is not pinned")]
    [InlineData("postgres:17.6-bookworm", "postgres:14.1", "older than 15")]
    [InlineData("STREAMS_CLUSTER_ID: streams", "STREAMS_CLUSTER: streams", "STREAMS_CLUSTER is no setting")]
    [InlineData("STREAMS_CLUSTER_ID: streams", "STREAMS_MIGRATE: maybe", "the silo refuses")]
    [InlineData("Host=postgres;", "Host=database;", "there is no service database")]
    [InlineData("Username=streams", "Username=postgres", "user postgres")]
    [InlineData("Database=streams", "Database=other", "database other")]
    [InlineData("PGPASSWORD: $", "PGPASSWORT: $", "no password")]
    [InlineData("8082:8080", "8082:80", "port 80")]
    [InlineData("127.0.0.1:8082", "8082", "not on loopback")]
    [InlineData("127.0.0.1:8082", "127.0.0.1:8081", "8081 is taken twice")]
    [InlineData("/health/ready", "/ready", "/ready is no route")]
    [InlineData("\"8080\", \"11\"", "\"80\", \"11\"", "asks port 80")]
    [InlineData("timeout: 12s", "timeout: 5s", "before it can say why")]
    [InlineData("health.sh", "healthy.sh", "healthy.sh is not in the image")]
    [InlineData("stop_grace_period: 45s", "stop_grace_period: 10s", "killed while it stops")]
    [InlineData("condition: service_healthy", "condition: service_started", "waits for service_started")]
    [InlineData("dockerfile: infra/docker/Dockerfile", "dockerfile: Dockerfile", "no Dockerfile")]
    [InlineData("NUGET_SOURCE: $", "NUGET: $", "NUGET is no argument")]
    [InlineData("\"/data\"]", "\"/var\"]", "/data cannot be written")]
    [InlineData("[\"postgres:/var", "[\"pg:/var", "volume pg is not declared")]
    [InlineData("\n  silo-3:\n    <<: *silo\n    hostname: silo-3\n    ports: [\"127.0.0.1:8083:8080\"]\n", "", "2 silos")]
    public void A_mistake_in_the_compose_file_is_found(string right, string wrong, string told) =>
        Faults(Repository.Planted(Text, right, wrong)).ShouldContain(fault => fault.Contains(told, StringComparison.Ordinal));

    private static List<string> Faults(string text)
    {
        ComposeFile file;
        try
        {
            file = StrictYaml.Snake<ComposeFile>(text);
        }
        catch (YamlException error)
        {
            return [$"{error.Message} {error.InnerException?.Message}"];
        }

        var silos = file.Services.Where(service => service.Value.Build is not null).ToDictionary();
        var faults = silos.SelectMany(silo => OfSilo(silo.Value, file).Select(fault => $"{silo.Key}: {fault}")).Concat(Images(file)).Concat(Volumes(file)).ToList();
        if (silos.Count != 3)
        {
            faults.Add($"there are {silos.Count} silos, not 3");
        }

        faults.AddRange(silos.Values.SelectMany(silo => silo.Ports).Select(port => port[..port.LastIndexOf(':')]).GroupBy(port => port)
            .Where(port => port.Count() > 1).Select(port => $"{port.Key} is taken twice"));
        return faults;
    }

    private static IEnumerable<string> OfSilo(ComposeService silo, ComposeFile file) =>
        [.. SiloFacts.FaultsOf(silo.Environment), .. Database(silo, file), .. Ports(silo), .. Health(silo), .. Build(silo.Build!), .. Running(silo, file)];

    private static IEnumerable<string> Database(ComposeService silo, ComposeFile file)
    {
        var connection = new NpgsqlConnectionStringBuilder(silo.Environment.GetValueOrDefault("STREAMS_POSTGRES", ""));
        if (!file.Services.TryGetValue(connection.Host ?? "", out var server))
        {
            yield return $"there is no service {connection.Host}";
            yield break;
        }

        if (connection.Username != server.Environment["POSTGRES_USER"])
        {
            yield return $"user {connection.Username} is not the one that the server makes";
        }

        if (connection.Database != server.Environment["POSTGRES_DB"])
        {
            yield return $"database {connection.Database} is not the one that the server makes";
        }

        if (!silo.Environment.TryGetValue("PGPASSWORD", out var password) || password != server.Environment["POSTGRES_PASSWORD"])
        {
            yield return "it has no password, or another one than the server";
        }

        if (silo.DependsOn.GetValueOrDefault(connection.Host!)?.Condition is var condition and not "service_healthy")
        {
            yield return $"it waits for {condition ?? "nothing"}, and a server that has started does not answer yet";
        }
    }

    private static IEnumerable<string> Ports(ComposeService silo)
    {
        foreach (var port in silo.Ports.Select(port => port.Split(':')))
        {
            if (port[^1] != Image.Variables["ASPNETCORE_HTTP_PORTS"])
            {
                yield return $"port {port[^1]} is not the one of HTTP";
            }

            if (port is not ["127.0.0.1", ..])
            {
                yield return $"port {port[^1]} is not on loopback, and the API asks nobody for a password";
            }
        }
    }

    private static IEnumerable<string> Health(ComposeService silo)
    {
        if (silo.Healthcheck.Test is not ["CMD", "bash", var script, var path, var port, var seconds])
        {
            yield return "the health check is not health.sh PATH PORT SECONDS";
            yield break;
        }

        if (!Image.Final.Any(one => one.Name == "COPY" && one.Words[0] == $"{Folder}/{script}"))
        {
            yield return $"{script} is not in the image";
        }

        if (!SiloFacts.HasRoute(path))
        {
            yield return $"{path} is no route of the silo";
        }

        if (port != Image.Variables["ASPNETCORE_HTTP_PORTS"])
        {
            yield return $"the health check asks port {port}";
        }

        if (TimeSpan.FromSeconds(int.Parse(seconds, CultureInfo.InvariantCulture)) >= Duration(silo.Healthcheck.Timeout))
        {
            yield return $"the health check waits {seconds} s and is ended after {silo.Healthcheck.Timeout}, before it can say why";
        }
    }

    private static IEnumerable<string> Build(ComposeBuild build)
    {
        var context = Path.GetFullPath(Path.Combine(Repository.PathOf(Folder), build.Context));
        if (!File.Exists(Path.Combine(context, build.Dockerfile)))
        {
            yield return $"there is no Dockerfile {build.Dockerfile} in {build.Context}";
        }

        foreach (var argument in build.Args.Keys.Where(name => !Image.All.Any(one => one.Name == "ARG" && one.Arguments.Split('=')[0] == name)))
        {
            yield return $"{argument} is no argument of the Dockerfile";
        }
    }

    private static IEnumerable<string> Running(ComposeService silo, ComposeFile file)
    {
        if (Duration(silo.StopGracePeriod) < SiloFacts.ShutdownTimeout + TimeSpan.FromSeconds(5))
        {
            yield return $"after {silo.StopGracePeriod} it is killed while it stops; it may take {SiloFacts.ShutdownTimeout.TotalSeconds:0} s";
        }

        foreach (var folder in new[] { "/tmp", Image.Variables["STREAMS_DATA"] }.Where(folder => silo.ReadOnly && !silo.Tmpfs.Contains(folder)))
        {
            yield return $"{folder} cannot be written";
        }
    }

    private static IEnumerable<string> Images(ComposeFile file)
    {
        foreach (var image in file.Services.Values.Where(service => service.Build is null).Select(service => service.Image))
        {
            if (Pinned().Match(image) is not { Success: true, Groups: var version })
            {
                yield return $"{image} is not pinned";
            }
            else if (image.StartsWith("postgres:", StringComparison.Ordinal) && int.Parse(version[1].Value, CultureInfo.InvariantCulture) < 15)
            {
                yield return $"{image} is older than 15";
            }
        }
    }

    private static IEnumerable<string> Volumes(ComposeFile file) => file.Services.Values.SelectMany(service => service.Volumes).Select(volume => volume.Split(':')[0])
        .Where(volume => !file.Volumes.ContainsKey(volume)).Select(volume => $"volume {volume} is not declared");

    private static TimeSpan Duration(string text) => Seconds().Match(text) is { Success: true } match
        ? TimeSpan.FromSeconds(int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture))
        : throw new FormatException($"{text} is no number of seconds");

    [GeneratedRegex(@"^(\d+)s$")]
    private static partial Regex Seconds();

    [GeneratedRegex(@":(\d+)\.\d+(-[a-z]+)?$")]
    private static partial Regex Pinned();
}
