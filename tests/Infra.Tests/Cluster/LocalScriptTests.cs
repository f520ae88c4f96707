using System.Text.RegularExpressions;

namespace OrleansStreams.Infra.Tests.Cluster;

/// <summary>What infra/cluster/local.sh says to those who use it wrongly. No cluster is needed for it.</summary>
public sealed partial class LocalScriptTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("infra-local-");

    public void Dispose() => folder.Delete(recursive: true);

    [Theory]
    [InlineData("")]
    [InlineData("upp 3")]
    [InlineData("up 3 4")]
    [InlineData("kill")]
    [InlineData("kill two")]
    [InlineData("down 1")]
    public async Task What_is_no_command_gets_the_usage(string command)
    {
        var (code, output, errors) = await RunAsync(command);
        code.ShouldBe(2);
        errors.ShouldStartWith("usage: local.sh COMMAND");
        output.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("up")]
    [InlineData("up 0")]
    [InlineData("up 17")]
    [InlineData("up many")]
    public async Task A_number_of_silos_that_cannot_be_is_refused(string command)
    {
        var (code, _, errors) = await RunAsync(command);
        code.ShouldBe(2);
        errors.ShouldBe("local.sh: up takes the number of silos, 1 to 16\n");
    }

    [Theory]
    [InlineData("kill 1")]
    [InlineData("stop 1")]
    [InlineData("pause 1")]
    [InlineData("resume 1")]
    [InlineData("add")]
    [InlineData("add 1")]
    [InlineData("status")]
    public async Task With_nothing_up_it_says_so(string command)
    {
        var (code, _, errors) = await RunAsync(command);
        code.ShouldBe(3);
        errors.ShouldBe($"local.sh: nothing is up in {folder.FullName}; start with: local.sh up 3\n");
    }

    [Fact]
    public async Task Down_with_nothing_up_is_no_mistake() =>
        (await RunAsync("down")).ShouldBe((0, $"nothing is up in {folder.FullName}\n", ""));

    [Fact]
    public async Task Without_PostgreSQL_it_says_what_to_install()
    {
        var (code, _, errors) = await RunAsync("up 1", ("POSTGRES_BIN", "/nowhere"));
        code.ShouldBe(1);
        errors.ShouldBe("local.sh: PostgreSQL is not installed: apt-get install postgresql-15\n");
    }

    [Fact]
    public async Task A_folder_without_a_silo_is_refused_before_anything_starts()
    {
        var (code, _, errors) = await RunAsync("up 1", ("CLUSTER_SILO", folder.FullName));
        code.ShouldBe(1);
        errors.ShouldBe($"local.sh: CLUSTER_SILO is {folder.FullName}, where there is no Silo.dll\n");
        Directory.Exists(Path.Combine(folder.FullName, "postgres")).ShouldBeFalse();
    }

    [Fact]
    public async Task A_process_that_has_got_the_number_of_a_silo_is_not_touched()
    {
        // A silo's process is long gone and its number is now that of this test.
        Directory.CreateDirectory(Path.Combine(folder.FullName, "silo-1"));
        File.WriteAllText(Path.Combine(folder.FullName, "silo-1", "pid"), $"{Environment.ProcessId} 1\n");
        (await RunAsync("down")).Output.ShouldBe($"nothing is up in {folder.FullName}\n");
    }

    [Fact]
    public void The_options_that_it_gives_to_silos_are_the_silos_own()
    {
        var text = Repository.Read("infra/cluster/local.sh");
        var start = text[text.IndexOf("start_silo() {", StringComparison.Ordinal)..text.IndexOf("wait_ready() {", StringComparison.Ordinal)];
        var options = Option().Matches(start).Select(match => match.Groups[1].Value).ToList();
        options.ShouldContain("advertised-address");
        options.Where(option => !SiloFacts.HasOption(option)).ShouldBeEmpty();
        SiloFacts.HasOption("advertised-addres").ShouldBeFalse();
    }

    private Task<(int ExitCode, string Output, string Errors)> RunAsync(string command, params (string Name, string Value)[] variables)
    {
        var all = new Dictionary<string, string?> { ["CLUSTER_DIR"] = folder.FullName };
        foreach (var (name, value) in variables)
        {
            all[name] = value;
        }

        return Repository.RunAsync("bash", [Repository.PathOf("infra/cluster/local.sh"), .. command.Split(' ', StringSplitOptions.RemoveEmptyEntries)], all);
    }

    [GeneratedRegex(@" --([a-z-]+)")]
    private static partial Regex Option();
}
