using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OrleansStreams.Clients;
using OrleansStreams.Log;
using OrleansStreams.Records;
using OrleansStreams.Silo.Hosting;
using OrleansStreams.Silo.Http;

namespace OrleansStreams.Silo.Tests.Limits;

/// <summary>The README's table of limits says what the code does.</summary>
public sealed class LimitTableTests
{
    private static readonly Dictionary<string, (Func<long> Default, Func<long, TopicConfig> With)> TopicLimits = new()
    {
        ["max.message.bytes"] = (() => TopicConfig.Default.MaxMessageBytes, value => new TopicConfig { MaxMessageBytes = (int)value }),
        ["segment.bytes"] = (() => TopicConfig.Default.SegmentBytes, value => new TopicConfig { SegmentBytes = value }),
        ["dedup.keys.max"] = (() => TopicConfig.Default.DedupKeysMax, value => new TopicConfig { DedupKeysMax = (int)value }),
    };

    private static readonly Dictionary<string, (Func<long> Default, Func<long, ProducerOptions> With)> ClientLimits = new()
    {
        ["ProducerOptions.BatchBytes"] = (() => new ProducerOptions().BatchBytes, value => new ProducerOptions { BatchBytes = (int)value }),
        ["ProducerOptions.MaxBufferedBytes"] = (() => new ProducerOptions().MaxBufferedBytes, value => new ProducerOptions { MaxBufferedBytes = value }),
        ["ProducerOptions.MaxInFlightPerPartition"] = (() => new ProducerOptions().MaxInFlightPerPartition, value => new ProducerOptions { MaxInFlightPerPartition = (int)value }),
    };

    [Fact]
    public void The_README_lists_every_limit_once_and_no_other()
    {
        var listed = LimitRow.FromReadme().Select(row => row.Setting).ToList();
        listed.ShouldBe([.. TopicLimits.Keys, .. SiloLimit.All.Select(limit => $"{SiloLimit.Section}:{limit.Name}"), .. ClientLimits.Keys], ignoreOrder: true);
    }

    [Fact]
    public void Every_limit_has_a_test_of_what_happens_at_it() =>
        LimitAttribute.Tested(typeof(LimitTests)).Concat(LimitAttribute.Tested(typeof(HttpLimitTests))).ShouldBe(LimitRow.FromReadme().Select(row => row.Setting), ignoreOrder: true);

    [Fact]
    public void Defaults_and_bounds_in_the_README_are_those_of_the_code()
    {
        foreach (var row in LimitRow.FromReadme().Where(row => row.Setting.StartsWith(SiloLimit.Section, StringComparison.Ordinal)))
        {
            var limit = SiloLimit.All.Single(limit => $"{SiloLimit.Section}:{limit.Name}" == row.Setting);
            row.ShouldBe(new LimitRow(row.Setting, limit.Default, limit.Least, limit.Most));
            Read(row.Setting, row.Least).ShouldBe(row.Least);
            Read(row.Setting, row.Most).ShouldBe(row.Most);
            ShouldBeRefused(row, row.Least - 1, value => Read(row.Setting, value));
            ShouldBeRefused(row, row.Most + 1, value => Read(row.Setting, value));
        }

        foreach (var row in LimitRow.FromReadme().Where(row => TopicLimits.ContainsKey(row.Setting)))
        {
            row.Default.ShouldBe(TopicLimits[row.Setting].Default());
            TopicRules.CheckConfig(TopicLimits[row.Setting].With(row.Least));
            TopicRules.CheckConfig(TopicLimits[row.Setting].With(row.Most));
            ShouldBeRefused(row, row.Least - 1, value => TopicRules.CheckConfig(TopicLimits[row.Setting].With(value)));
            ShouldBeRefused(row, row.Most + 1, value => TopicRules.CheckConfig(TopicLimits[row.Setting].With(value)));
        }
    }

    [Fact]
    public async Task Defaults_and_bounds_of_clients_in_the_README_are_those_of_the_code()
    {
        await using var silo = await TestSilo.StartAsync();
        var client = silo.Services.GetRequiredService<StreamsClient>();
        foreach (var row in LimitRow.FromReadme().Where(row => ClientLimits.ContainsKey(row.Setting)))
        {
            var (standard, with) = ClientLimits[row.Setting];
            row.Default.ShouldBe(standard());
            await using (client.CreateProducer(Serdes.Utf8, Serdes.Utf8, with(row.Least)))
            await using (client.CreateProducer(Serdes.Utf8, Serdes.Utf8, with(row.Most)))
            {
                (await Should.ThrowAsync<StreamsException>(async () => await client.CreateProducer(Serdes.Utf8, Serdes.Utf8, with(row.Least - 1)).DisposeAsync()))
                    .Message.ShouldContain(row.Setting);
            }

            if (row.Most < int.MaxValue)
            {
                Should.Throw<StreamsException>(() => client.CreateProducer(Serdes.Utf8, Serdes.Utf8, with(row.Most + 1))).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
            }
        }
    }

    [Fact]
    public void A_limit_that_does_not_exist_or_is_no_number_is_refused_and_named()
    {
        Should.Throw<StreamsException>(() => Read("limits:pending-beits", 5)).Message.ShouldContain("pending-bytes");
        var refused = Should.Throw<StreamsException>(() => SiloSettings.From(Configuration("limits:producers", "many")));
        (refused.Code, refused.Message).ShouldBe((StreamsErrorCode.InvalidConfig, "the setting 'limits:producers' is 'many'; it must be a whole number from 1 to 1000000"));
    }

    [Fact]
    public void Every_limit_of_the_settings_reaches_what_it_limits()
    {
        var builder = WebApplication.CreateBuilder();
        builder.AddStreamsSilo(new SiloSettings
        {
            DataPath = Path.Combine(Path.GetTempPath(), "never-used"), Limits = SiloLimit.All.ToDictionary(limit => limit.Name, limit => limit.Least),
        });
        using var services = builder.Services.BuildServiceProvider();
        var narrow = (services.GetRequiredService<StreamsOptions>(), services.GetRequiredService<IOptions<StreamsApiOptions>>().Value);
        foreach (var limit in SiloLimit.All)
        {
            // Setting it once more changes nothing, since it is set; leaving it out would have left the default.
            limit.Apply(narrow.Item1, limit.Least).ShouldBe(narrow.Item1);
        }

        narrow.Item1.PendingBytesMax.ShouldBe(1_048_576);
        narrow.Item1.FetchWaitMax.ShouldBe(TimeSpan.Zero);
        (narrow.Item2.MaxBodyBytes, narrow.Item2.MaxBatchRecords, narrow.Item2.MaxLineBytes, narrow.Item2.MaxPendingRecords).ShouldBe((1024, 1, 1024, 1));
        (narrow.Item2.MaxFetchRecords, narrow.Item2.MaxFetchBytes, narrow.Item2.MaxWaitMs).ShouldBe((1, 1024, 0));
    }

    private static void ShouldBeRefused(LimitRow row, long value, Action<long> set)
    {
        var refused = Should.Throw<StreamsException>(() => set(value), $"{row.Setting} {value}");
        refused.Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        foreach (var part in new[] { row.Setting, Text(value), Text(row.Least), Text(row.Most) })
        {
            refused.Message.ShouldContain(part);
        }
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static long Read(string setting, long value) => SiloSettings.From(Configuration(setting, Text(value))).Limits[setting.Split(':')[1]];

    private static IConfiguration Configuration(string setting, string value) =>
        new ConfigurationBuilder().AddInMemoryCollection([new(setting, value)]).Build();
}
