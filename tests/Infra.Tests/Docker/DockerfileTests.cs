using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace OrleansStreams.Infra.Tests.Docker;

/// <summary>The Dockerfile against the code that it builds and runs.</summary>
public sealed partial class DockerfileTests
{
    private static readonly string Text = Repository.Read("infra/docker/Dockerfile");
    private static readonly string Ignored = Repository.Read(".dockerignore");

    [Fact]
    public void The_image_fits_the_silo() => Faults(Text, Ignored).ShouldBeEmpty();

    [Theory]
    [InlineData("10.0.12-noble", "latest", "is not pinned")]
    [InlineData("10.0.12-noble", "10.0", "is not pinned")]
    [InlineData("10.0.12-noble", "9.0.1-noble", "runs .NET 9")]
    [InlineData("10.0.401-noble", "10.0.1-noble", "global.json")]
    [InlineData("COPY Grains/ Grains/", "COPY Grain/ Grains/", "Grain/ is not in the context")]
    [InlineData("STREAMS_SILO_PORT", "STREAMS_PORT", "STREAMS_PORT is no setting")]
    [InlineData("STREAMS_SILO_PORT=11111", "STREAMS_SILO_PORT=11112", "11112 is not exposed")]
    [InlineData("ASPNETCORE_HTTP_PORTS=8080", "ASPNETCORE_HTTP_PORTS=80", "80 is not exposed")]
    [InlineData("/health/live", "/healthz", "/healthz is no route")]
    [InlineData("\"8080\", \"4\"", "\"8081\", \"4\"", "the health check asks port 8081")]
    [InlineData("\"8080\", \"4\"", "\"8080\", \"6\"", "waits 6 s")]
    [InlineData("USER ${APP_UID}", "USER root", "runs as root")]
    [InlineData("STOPSIGNAL SIGTERM", "STOPSIGNAL SIGKILL", "SIGKILL")]
    [InlineData("\"Silo.dll\"", "\"Server.dll\"", "Server.dll")]
    [InlineData("COPY infra/docker/health.sh ./", "COPY infra/docker/health.sh bin/", "health.sh is not in the work folder")]
    [InlineData("EXPOSE 8080 11111 30000", "EXPOZE 8080", "no instruction")]
    public void A_mistake_in_the_dockerfile_is_found(string right, string wrong, string told) =>
        Faults(Repository.Planted(Text, right, wrong), Ignored).ShouldContain(fault => fault.Contains(told, StringComparison.Ordinal));

    [Fact]
    public void An_ignored_folder_that_is_copied_is_found() => Faults(Text, Ignored + "\ninfra/postgres\n").ShouldContain("infra/postgres/ is not in the context");

    [Fact]
    public void Secrets_and_outputs_are_not_sent_to_the_engine()
    {
        using var tree = new ImageTree(Ignored);
        tree.Copy(new Instruction("COPY", "tests/ there/")).ShouldBe(["tests/"]);
        tree.Copy(new Instruction("COPY", ".artifacts/ there/")).ShouldBe([".artifacts/"]);
    }

    [Fact]
    public async Task What_is_copied_before_the_restore_is_all_that_it_reads()
    {
        var inRepository = await PackagesAsync(Repository.Root);
        inRepository.ShouldContain(line => line.StartsWith("Silo/Silo.csproj", StringComparison.Ordinal) && line.Contains("Microsoft.Orleans.Server", StringComparison.Ordinal));
        using var tree = Copied(new Dockerfile(Text).CopiesBefore("dotnet restore"));
        (await PackagesAsync(tree.Root)).ShouldBe(inRepository);
    }

    [Theory]
    [InlineData("COPY Grains/Grains.csproj Grains/")]
    [InlineData("COPY infra/ActorRuntime.props infra/")]
    public async Task A_project_file_that_is_not_copied_before_the_restore_is_found(string forgotten)
    {
        using var tree = Copied(new Dockerfile(Repository.Planted(Text, forgotten, "")).CopiesBefore("dotnet restore"));
        (await PackagesAsync(tree.Root)).ShouldNotBe(await PackagesAsync(Repository.Root));
    }

    [Theory]
    [InlineData("Silo")]
    [InlineData("Grains")]
    [InlineData("Grains.Interfaces")]
    public async Task What_the_image_compiles_is_what_the_repository_compiles(string project)
    {
        using var tree = Copied(new Dockerfile(Text).CopiesBefore("dotnet publish"));
        var items = await ItemsAsync(Repository.Root, project);
        items.ShouldContain(item => item.EndsWith("GlobalUsings.cs", StringComparison.Ordinal) || item.Contains("/Records/", StringComparison.Ordinal) || item.Contains("/Log/", StringComparison.Ordinal));
        (await ItemsAsync(tree.Root, project)).ShouldBe(items);
    }

    private static List<string> Faults(string text, string ignored)
    {
        Dockerfile file;
        try
        {
            file = new Dockerfile(text);
        }
        catch (FormatException error)
        {
            return [error.Message];
        }

        using var tree = new ImageTree(ignored);
        return [.. file.CopiesBefore("\0").SelectMany(tree.Copy).Select(source => $"{source} is not in the context"), .. Images(file), .. Ports(file), .. Health(file), .. Running(file)];
    }

    private static IEnumerable<string> Images(Dockerfile file)
    {
        foreach (var image in file.All.Where(one => one.Name == "FROM").Select(one => one.Words[0]))
        {
            if (PatchVersion().Match(image) is not { Success: true, Groups: var version })
            {
                yield return $"{image} is not pinned to a patch";
            }
            else if (image.Contains("/sdk:", StringComparison.Ordinal))
            {
                var wanted = Version.Parse(JsonDocument.Parse(Repository.Read("global.json")).RootElement.GetProperty("sdk").GetProperty("version").GetString()!);
                if (Version.Parse(version[1].Value) < wanted)
                {
                    yield return $"{image} is older than global.json's {wanted}";
                }
            }
            else if (Version.Parse(version[1].Value).Major != Environment.Version.Major)
            {
                yield return $"{image} runs .NET {version[1].Value}, and the silo is built for {Environment.Version.Major}";
            }
        }
    }

    private static IEnumerable<string> Ports(Dockerfile file)
    {
        var exposed = file.Last("EXPOSE")?.Words ?? [];
        string[] used = [.. new[] { "ASPNETCORE_HTTP_PORTS", "STREAMS_SILO_PORT", "STREAMS_GATEWAY_PORT" }.Select(name => file.Variables.GetValueOrDefault(name, $"the port of {name}"))];
        return used.Except(exposed).Select(port => $"{port} is not exposed").Concat(exposed.Except(used).Select(port => $"{port} is exposed and nobody listens there"));
    }

    private static IEnumerable<string> Health(Dockerfile file)
    {
        var check = file.Last("HEALTHCHECK")?.Arguments.Split(" CMD ", 2);
        if (check is not [var options, var command] || JsonSerializer.Deserialize<string[]>(command) is not ["bash", var script, var path, var port, var seconds])
        {
            yield return "the health check is not health.sh PATH PORT SECONDS";
            yield break;
        }

        if (!file.Final.Any(one => one.Name == "COPY" && one.Words is [var source, "./"] && source.EndsWith('/' + script)))
        {
            yield return $"{script} is not in the work folder";
        }

        if (!SiloFacts.HasRoute(path))
        {
            yield return $"{path} is no route of the silo";
        }

        if (port != file.Variables.GetValueOrDefault("ASPNETCORE_HTTP_PORTS"))
        {
            yield return $"the health check asks port {port}";
        }

        var timeout = Regex.Match(options, @"--timeout=(\d+)s").Groups[1].Value;
        if (int.Parse(seconds, CultureInfo.InvariantCulture) >= int.Parse(timeout, CultureInfo.InvariantCulture))
        {
            yield return $"the health check waits {seconds} s and is ended after {timeout} s, before it can say why";
        }
    }

    private static IEnumerable<string> Running(Dockerfile file)
    {
        if (file.Last("USER")?.Words is not ["${APP_UID}"])
        {
            yield return $"it runs as {file.Last("USER")?.Arguments ?? "root"}, not as the base image's own user";
        }

        // The only signal of those that engines send after which the host stops in good order.
        if (file.Last("STOPSIGNAL")?.Words is not ["SIGTERM"])
        {
            yield return $"it is stopped by {file.Last("STOPSIGNAL")?.Arguments}";
        }

        if (file.Last("ENTRYPOINT")?.Words is not ["dotnet", var program] || program != $"{typeof(Silo.Hosting.SiloSettings).Assembly.GetName().Name}.dll")
        {
            yield return $"it starts {file.Last("ENTRYPOINT")?.Arguments}, not the silo";
        }

        foreach (var fault in SiloFacts.FaultsOf(file.Variables))
        {
            yield return fault;
        }
    }

    private static ImageTree Copied(IEnumerable<Instruction> copies)
    {
        var tree = new ImageTree(Ignored);
        foreach (var copy in copies.Where(copy => !copy.Arguments.Contains("health.sh", StringComparison.Ordinal)))
        {
            tree.Copy(copy).ShouldBeEmpty();
        }

        return tree;
    }

    /// <summary>A line a project: its packages and projects, as restore sees them from the silo's project. It needs no network.</summary>
    private static async Task<List<string>> PackagesAsync(string root)
    {
        var graph = Path.GetTempFileName();
        try
        {
            var (_, output, _) = await DotnetAsync(["msbuild", Path.Combine(root, "Silo", "Silo.csproj"), "-t:GenerateRestoreGraphFile", $"-p:RestoreGraphOutputPath={graph}", "-nodeReuse:false", "-v:q"]);
            if (new FileInfo(graph).Length == 0)
            {
                return [output];
            }

            using var document = JsonDocument.Parse(await File.ReadAllTextAsync(graph));
            return [.. document.RootElement.GetProperty("projects").EnumerateObject().Select(project =>
            {
                var framework = project.Value.GetProperty("frameworks").EnumerateObject().Single().Value;
                var packages = framework.TryGetProperty("dependencies", out var all) ? string.Join(' ', all.EnumerateObject().Select(one => one.Name)) : "";
                return $"{Path.GetRelativePath(root, project.Name)}: {packages}";
            }).Order(StringComparer.Ordinal)];
        }
        finally
        {
            File.Delete(graph);
        }
    }

    /// <summary>What the compiler and the publication get of a project, relative to the root.</summary>
    private static async Task<List<string>> ItemsAsync(string root, string project)
    {
        var (code, output, errors) = await DotnetAsync(
            ["msbuild", Path.Combine(root, project, $"{project}.csproj"), "-getItem:Compile,EmbeddedResource,Content,AdditionalFiles,EditorConfigFiles", "-nodeReuse:false"]);
        code.ShouldBe(0, output + errors);
        using var document = JsonDocument.Parse(output);
        return [.. document.RootElement.GetProperty("Items").EnumerateObject().SelectMany(type => type.Value.EnumerateArray()
            .Select(item => item.GetProperty("FullPath").GetString()!)
            .Where(path => path.StartsWith(root, StringComparison.Ordinal) && !path.EndsWith(".md", StringComparison.Ordinal))
            .Select(path => $"{type.Name} {Path.GetRelativePath(root, path)}{(File.Exists(path) ? "" : " (missing)")}")).Order(StringComparer.Ordinal)];
    }

    private static Task<(int ExitCode, string Output, string Errors)> DotnetAsync(string[] arguments) =>
        Repository.RunAsync("dotnet", arguments, new Dictionary<string, string?> { ["ActorRuntime"] = "orleans" });

    [GeneratedRegex(@":(\d+\.\d+\.\d+)(-[a-z]+)?$")]
    private static partial Regex PatchVersion();
}
