using System.Collections.Immutable;
using EmbeddedOrleans.Runtime;
using EmbeddedOrleans.Tests.Fixture;
using Orleans;
using Orleans.Concurrency;

namespace EmbeddedOrleans.Tests.Runtime;

public sealed class ProxyTests
{
    [Fact]
    public void Arguments_of_every_kind_arrive_in_their_places()
    {
        using var cluster = new TestCluster();
        IManyArgumentsGrain grain = cluster.Cluster.GrainFactory.GetGrain<IManyArgumentsGrain>("m");
        string text = cluster.Result(grain.Join(1, "two", 3.5, [4, 5], new Pair(6, "seven"), null, CancellationToken.None, DayOfWeek.Monday, "nine"));
        text.ShouldBe("1 two 3.5 4,5 Pair { A = 6, B = seven } null Monday nine");
    }

    [Fact]
    public void Methods_of_base_interfaces_and_overloads_are_told_apart()
    {
        using var cluster = new TestCluster();
        IManyArgumentsGrain grain = cluster.Cluster.GrainFactory.GetGrain<IManyArgumentsGrain>("m");
        cluster.Result(grain.Inherited()).ShouldBe("inherited");
        cluster.Result(grain.Over(1)).ShouldBe("int");
        cluster.Result(grain.Over("1")).ShouldBe("string");
    }

    [Fact]
    public void A_reference_can_be_an_argument()
    {
        using var cluster = new TestCluster();
        IManyArgumentsGrain grain = cluster.Cluster.GrainFactory.GetGrain<IManyArgumentsGrain>("m");
        cluster.Result(grain.Ask(cluster.Probe("asked"))).ShouldBe("asked");
    }

    [Theory]
    [InlineData(typeof(IGenericMethod), "generic")]
    [InlineData(typeof(IHasProperty), "property")]
    [InlineData(typeof(IHasRef), "ref")]
    [InlineData(typeof(IReturnsInt), "must return")]
    [InlineData(typeof(ITwoTokens), "CancellationToken")]
    [InlineData(typeof(IOneWayResult), "one-way")]
    internal void A_method_that_cannot_be_called_remotely_is_refused_at_the_start(Type grainInterface, string why) =>
        Should.Throw<NotSupportedException>(() => ProxyType.For(grainInterface)).Message.ShouldContain(why);

    internal interface IGenericMethod : IGrainWithStringKey
    {
        Task Generic<T>(T value);
    }

    internal interface IHasProperty : IGrainWithStringKey
    {
        Task Value { get; }
    }

    internal interface IHasRef : IGrainWithStringKey
    {
        Task Ref(ref int value);
    }

    internal interface IReturnsInt : IGrainWithStringKey
    {
        int Get();
    }

    internal interface ITwoTokens : IGrainWithStringKey
    {
        Task Two(CancellationToken a, CancellationToken b);
    }

    internal interface IOneWayResult : IGrainWithStringKey
    {
        [OneWay]
        Task<int> Get();
    }
}

// The token stands in the middle on purpose.
#pragma warning disable CA1068
internal sealed record Pair(int A, string B);

internal interface IInheritedGrain : IGrainWithStringKey
{
    Task<string> Inherited();
}

internal interface IManyArgumentsGrain : IInheritedGrain
{
    Task<string> Join(
        int one, string two, double three, ImmutableArray<int> four, Pair five, string? six, CancellationToken token, DayOfWeek eight, string nine);

    Task<string> Over(int value);

    Task<string> Over(string value);

    Task<string> Ask(IProbeGrain probe);
}

internal sealed class ManyArgumentsGrain : Grain, IManyArgumentsGrain
{
    public Task<string> Join(
        int one, string two, double three, ImmutableArray<int> four, Pair five, string? six, CancellationToken token, DayOfWeek eight, string nine) =>
        Task.FromResult($"{one} {two} {three} {string.Join(',', four)} {five} {six ?? "null"} {eight} {nine}");

    public Task<string> Inherited() => Task.FromResult("inherited");

    public Task<string> Over(int value) => Task.FromResult("int");

    public Task<string> Over(string value) => Task.FromResult("string");

    public Task<string> Ask(IProbeGrain probe) => probe.Key();
}
