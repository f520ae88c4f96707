// Code that breaks the dependency rules, and code that doesn't.
using Orleans;

namespace OrleansStreams.Architecture.Dependencies.Fixture
{
    internal interface ILeakGrain : IGrainWithStringKey
    {
        Task Leak();
    }

    internal sealed class ShellGrain : Grain, ILeakGrain
    {
        public Task Leak() => GrainFactory.GetGrain<ILeakGrain>("x").Leak();
    }

    internal sealed class CleanEngine
    {
        [Id(0)]
        public int Value { get; init; }

        public override string ToString() => $"{Value}";
    }

    internal sealed class LeakingEngine
    {
        // The leak stands in an async lambda: in a compiler-made type.
        public static Func<Task> Run(object services) => async () =>
        {
            await Task.Yield();
            ((IGrainFactory)services).ToString();
        };
    }
}

namespace OrleansStreams.Architecture.Dependencies.Fixture.Storage
{
    internal sealed class LeakingStorage
    {
        public static async Task Flush(object grain)
        {
            await Task.Yield();
            if (grain is ILeakGrain leak)
            {
                await leak.Leak();
            }
        }
    }

    internal sealed class CleanStorage
    {
        public long Offset { get; init; }
    }
}
