using System.Reflection;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Hosting;
using Orleans.Runtime;
using OrleansStreams.Clients;
using OrleansStreams.Errors;

namespace OrleansStreams.Cluster.Tests;

public sealed class StreamsClusterClientTests
{
    private const string Postgres = "Host=127.0.0.1;Database=streams;Username=streams";

    [Theory]
    [InlineData("ConnectionStrings:Streams", "", "the cluster's PostgreSQL is not named")]
    [InlineData("ConnectionStrings:Streams", "Hosts=here", "is not a connection string of PostgreSQL")]
    [InlineData("ConnectionStrings:Streams", "Database=streams", "names no Host")]
    [InlineData("Streams:Schema", "my schema", "the schema is 'my schema'")]
    [InlineData("Streams:ClusterId", " ", "cluster id is blank")]
    [InlineData("Streams:ServiceId", " ", "service id is blank")]
    [InlineData("Streams:ResponseTimeout", "00:00:01", "ResponseTimeout is 00:00:01; it must be from 00:00:05 to 00:10:00")]
    [InlineData("Streams:ResponseTimeout", "soon", "Streams: cannot be used")]
    [InlineData("Streams:GatewayListRefreshPeriod", "01:00:00", "GatewayListRefreshPeriod is 01:00:00")]
    [InlineData("Streams:ConnectTimeout", "-00:00:01", "ConnectTimeout is -00:00:01")]
    public void A_mistake_in_the_settings_is_told_in_one_sentence_that_names_the_setting(string setting, string value, string expected)
    {
        var builder = Builder((setting, value));
        var refused = Should.Throw<StreamsException>(() => builder.UseStreamsClusterClient());
        refused.Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        refused.Message.ShouldContain(expected);
        refused.Message.ShouldNotContain('\n');
    }

    [Fact]
    public void The_code_wins_over_the_configuration()
    {
        var builder = Builder(("Streams:Schema", "my schema"));
        builder.UseStreamsClusterClient(options => options.Schema = "mine");
        using var host = builder.Build();
        host.Services.GetRequiredService<StreamsClient>().ShouldBeSameAs(host.Services.GetRequiredService<StreamsClient>());
    }

    [Fact]
    public void Failover_without_clustering_is_refused() =>
        Should.Throw<StreamsException>(() => Builder().UseOrleansClient(client => client.AddStreamsFailover())).Message.ShouldContain("call it after UseAdoNetClustering");

    [Fact]
    public async Task A_start_without_a_database_ends_after_the_time_that_it_may_take_with_one_sentence()
    {
        var builder = Builder(("ConnectionStrings:Streams", "Host=/nowhere;Database=streams;Username=streams"), ("Streams:ConnectTimeout", "00:00:01"));
        builder.UseStreamsClusterClient();
        using var host = builder.Build();
        var refused = await host.StartAsync().ShouldThrowAsync<StreamsException>();
        refused.Code.ShouldBe(StreamsErrorCode.CoordinatorNotAvailable);
        refused.Message.ShouldContain("the cluster's database at /nowhere/streams, schema streams cannot be used");
    }

    [Fact]
    public void Everything_that_orleans_throws_while_silos_go_and_come_is_tried_again()
    {
        string[] names =
        [
            nameof(SiloUnavailableException), nameof(OrleansMessageRejectionException), nameof(GatewayTooBusyException), nameof(ClientNotAvailableException),
            "ConnectionFailedException", "SocketConnectionException", "InconsistentStateException",
        ];
        Assembly[] assemblies = [typeof(SiloUnavailableException).Assembly, typeof(Orleans.IClusterClient).Assembly, typeof(ClientBuilderExtensions).Assembly];
        var thrown = assemblies.SelectMany(assembly => assembly.GetExportedTypes()).Where(type => names.Contains(type.Name)).Distinct().ToArray();
        thrown.Length.ShouldBe(names.Length);
        foreach (var type in thrown)
        {
            ClientRetry.IsTransient((Exception)RuntimeHelpers.GetUninitializedObject(type)).ShouldBeTrue(type.Name);
        }
    }

    private static HostApplicationBuilder Builder(params IEnumerable<(string Name, string Value)> settings)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?> { ["ConnectionStrings:Streams"] = Postgres });
        builder.Configuration.AddInMemoryCollection(settings.Select(setting => KeyValuePair.Create(setting.Name, (string?)setting.Value)));
        return builder;
    }
}
