using System.Collections.Immutable;
using Orleans;

namespace OrleansStreams.Architecture.Messages;

/// <summary>What runs embedded also crosses silos.</summary>
public sealed class MessageTests
{
    private static readonly MessageWalk s_product = new(MessageWalk.GrainInterfacesOf(BuildFacts.GrainsInterfaces).Concat(MessageWalk.GrainInterfacesOf(BuildFacts.Grains)));
    private static readonly MessageWalk s_bad = new([typeof(IBadGrain)]);
    private static readonly MessageWalk s_good = new([typeof(IGoodGrain)]);

    [Fact]
    public void The_walk_sees_the_products_grains_and_messages()
    {
        s_product.Interfaces.Length.ShouldBeGreaterThan(4);
        s_product.Messages.Count().ShouldBeGreaterThan(20);
    }

    [Fact]
    public void Everything_that_crosses_a_grain_call_can_be_serialized_by_orleans() => MessageRules.Serialization(s_product).ShouldBeEmpty();

    [Fact]
    public void Every_message_is_immutable_by_construction() => MessageRules.Immutability(s_product).ShouldBeEmpty();

    [Fact]
    public void Good_messages_break_no_rule()
    {
        MessageRules.Serialization(s_good).ShouldBeEmpty();
        MessageRules.Immutability(s_good).ShouldBeEmpty();
    }

    [Fact]
    public void Every_gap_in_the_serialization_attributes_is_found()
    {
        string broken = string.Join('\n', MessageRules.Serialization(s_bad));
        broken.ShouldContain("IBadGrain: lacks [Alias]");
        broken.ShouldContain("IBadGrain.Twice: has the alias 'once' of IBadGrain.Once");
        broken.ShouldContain("Plain (at IBadGrain.Once(plain)): lacks [GenerateSerializer]");
        broken.ShouldContain("Plain (at IBadGrain.Once(plain)): lacks [Alias]");
        broken.ShouldContain("Plain (at IBadGrain.Once(plain)): Number lacks [Id]");
        broken.ShouldContain("Nested (at Holder.Nested): Second has the id 0 of another member");
        broken.ShouldContain("Colour (at Nested.Colour): lacks [GenerateSerializer]");
        broken.ShouldContain("Leaf (at Base, which it derives from): Extra lacks [Id]");
        broken.ShouldContain("Stream (at IBadGrain.Twice result): Orleans has no codec for it");
        broken.ShouldContain("Holder (at IBadGrain.Once result): has the alias 'base'");
    }

    [Fact]
    public void Every_way_to_change_a_message_is_found()
    {
        string broken = string.Join('\n', MessageRules.Immutability(s_bad));
        broken.ShouldContain("Plain (at IBadGrain.Once(plain)): <Number>k__BackingField can be set");
        broken.ShouldContain("List`1 (at Holder.List): can be changed");
        broken.ShouldContain("Int32[] (at Holder.Array): can be changed");
        broken.ShouldContain("Nested (at Holder.Nested): lacks [Immutable]");
        broken.ShouldNotContain("Byte[]");
    }

    internal interface IBadGrain : IGrainWithStringKey
    {
        [Alias("once")]
        Task<Holder> Once(Plain plain, CancellationToken token);

        [Alias("once")]
        Task<Stream> Twice(Base value);
    }

    internal enum Colour
    {
        Red,
    }

    internal sealed class Plain
    {
        public int Number { get; set; }
    }

    [GenerateSerializer]
    [Immutable]
    [Alias("base")]
    internal sealed record Holder(
        [property: Id(0)] ImmutableArray<Nested> Nested, [property: Id(1)] List<string> List, [property: Id(2)] int[] Array, [property: Id(3)] byte[] Bytes);

    [GenerateSerializer]
    [Alias("nested")]
    internal sealed record Nested([property: Id(0)] int First, [property: Id(0)] int Second, [property: Id(1)] Colour Colour);

    [GenerateSerializer]
    [Immutable]
    [Alias("base")]
    internal abstract record Base([property: Id(0)] int Common);

    [GenerateSerializer]
    [Immutable]
    [Alias("leaf")]
    internal sealed record Leaf(int Common, int Extra) : Base(Common);

    [Alias("good")]
    internal interface IGoodGrain : IGrainWithStringKey
    {
        [Alias("Ask")]
        ValueTask<Good> Ask(string text, int? number, IGoodGrain friend, CancellationToken token);

        [Alias("Tell")]
        Task Tell(ImmutableDictionary<string, ReadOnlyMemory<byte>> values);
    }

    [GenerateSerializer]
    [Alias("good-kind")]
    internal enum GoodKind
    {
        Fine,
    }

    [GenerateSerializer]
    [Immutable]
    [Alias("good-message")]
    internal sealed record Good([property: Id(0)] GoodKind Kind, [property: Id(1)] IReadOnlyList<Guid> Ids)
    {
        [Id(2)]
        public DateTimeOffset At { get; init; }

        public int Computed => Ids.Count;
    }
}
