using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using OrleansStreams.Processing;
using OrleansStreams.Silo.Hosting;
using OrleansStreams.Storage;

namespace OrleansStreams.Silo.Tests.Server;

/// <summary>Where a silo's settings come from.</summary>
[Collection(ServerCollection.Name)]
public sealed class SettingsTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task A_silo_can_be_told_everything_by_variables_and_heeds_none_without_the_prefix()
    {
        await using var silo = SiloProcess.Run(new Dictionary<string, string>
        {
            ["ASPNETCORE_URLS"] = "http://127.0.0.1:0",
            ["STREAMS_DATA"] = folder.In("data"),
            ["STREAMS_SAMPLE"] = "false",
            ["DATA"] = folder.In("not-mine"),
            ["FLUSH"] = "sometimes",
            ["SAMPLE"] = "maybe",
        });
        await silo.ReadyAsync();

        silo.Http.BaseAddress!.Port.ShouldNotBe(8080);
        Directory.Exists(folder.In("data")).ShouldBeTrue();
        Directory.Exists(folder.In("not-mine")).ShouldBeFalse();
        silo.Terminate();
        (await silo.EndAsync()).ExitCode.ShouldBe(0);
    }

    [Fact]
    public async Task A_variable_has_underscores_where_its_setting_has_dashes()
    {
        await using var silo = SiloProcess.Run(new Dictionary<string, string> { ["STREAMS_DATA"] = folder.In("data"), ["STREAMS_SILO_PORT"] = "70000" });

        var (exitCode, _, errors) = await silo.EndAsync();

        exitCode.ShouldBe(1);
        errors.ShouldContain("'silo-port' is '70000'");
    }

    [Fact]
    public void Without_a_setting_the_API_listens_on_port_8080_of_this_machine_and_the_data_is_the_users_own()
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });

        var settings = builder.ReadSettings([]);

        builder.WebHost.GetSetting(WebHostDefaults.ServerUrlsKey).ShouldBe("http://127.0.0.1:8080");
        settings.DataPath.ShouldBe(SiloSettings.DefaultDataPath("silo"));
        settings.DataPath.ShouldStartWith(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify));
        settings.Flush.ShouldBe(FlushMode.Always);
        settings.Sample.ShouldBeTrue();
    }

    [Fact]
    public void What_is_set_for_applications_holds_for_those_that_say_nothing_else()
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.AddStreamsSilo(builder.ReadSettings(["--data", folder.In("data"), "--guarantee", "at-least-once", "--commit-interval-ms", "250", "--state-bytes-max", "1048576"]));

        var options = builder.Services.Single(service => service.ServiceType == typeof(ProcessingOptions)).ImplementationInstance.ShouldBeOfType<ProcessingOptions>();

        options.ShouldBe(new ProcessingOptions { Guarantee = ProcessingGuarantee.AtLeastOnce, CommitInterval = TimeSpan.FromMilliseconds(250), StateBytesMax = 1_048_576, Journal = options.Journal });
        SiloSettings.From(new ConfigurationBuilder().AddInMemoryCollection([new("state-bytes-max", "0")]).Build()).StateBytesMax.ShouldBe(long.MaxValue);
    }

    [Fact]
    public async Task The_command_line_wins_over_the_file_of_settings()
    {
        Directory.CreateDirectory(folder.In("root"));
        await File.WriteAllTextAsync(Path.Combine(folder.In("root"), "appsettings.json"), """{"flush":"os","data":"/from-file","limits":{"http-fetch-records":"7"}}""");
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { ContentRootPath = folder.In("root") });

        var settings = builder.ReadSettings(["--data", folder.In("told"), "--urls", "http://127.0.0.1:9"]);

        settings.Flush.ShouldBe(FlushMode.OperatingSystem);
        settings.DataPath.ShouldBe(folder.In("told"));
        settings.Limits["http-fetch-records"].ShouldBe(7);
        builder.Configuration["urls"].ShouldBe("http://127.0.0.1:9");
    }
}
