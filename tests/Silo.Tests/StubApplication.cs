using System.Collections.Immutable;
using System.Text;
using Orleans;
using OrleansStreams.Hosts;
using OrleansStreams.Processing;

namespace OrleansStreams.Silo.Tests;

/// <summary>
/// A grain factory whose application grains are played by this test: what the HTTP API makes of an application's answers is independent of how it
/// comes to them. All other grains are real.
/// </summary>
public sealed class StubApplications : IApplicationCatalog
{
    public const string Name = "stub-app";

    private readonly StubApplication app = new();

    /// <summary>How the application was started last.</summary>
    public StreamApplicationStart? LastStart => app.LastStart;

    public IReadOnlyList<string> Names => [Name];

    /// <summary>Comes after the runtime, whose factory of all other grains it takes over.</summary>
    public static void Register(IServiceCollection services)
    {
        var runtime = services.Last(service => service.ServiceType == typeof(IGrainFactory));
        services.AddSingleton<StubApplications>();
        services.AddSingleton(provider => PlayedGrains.Of(provider.GetRequiredService<StubApplications>().Play, (IGrainFactory)runtime.ImplementationFactory!(provider)));
        services.AddSingleton<IApplicationCatalog>(provider => provider.GetRequiredService<StubApplications>());
    }

    private object? Play(Type grain, string key) =>
        grain != typeof(IStreamApplicationGrain) ? null : key == Name ? app : new UnknownApplication(key);

    private sealed class StubApplication : IStreamApplicationGrain
    {
        private const long Watermark = 978_314_400_000;

        public StreamApplicationStart? LastStart { get; private set; }

        private StreamApplicationState state = StreamApplicationState.Stopped;
        private ImmutableDictionary<string, string> parameters = ImmutableDictionary<string, string>.Empty;

        public Task<StreamApplicationStatus> StartAsync(ImmutableDictionary<string, string> wanted)
        {
            if (state == StreamApplicationState.Running && !wanted.OrderBy(one => one.Key).SequenceEqual(parameters.OrderBy(one => one.Key)))
            {
                throw new StreamsException(StreamsErrorCode.InvalidRequest, "The application runs with other parameters; stop it first.");
            }

            (state, parameters) = (StreamApplicationState.Running, wanted);
            return GetStatusAsync();
        }

        public Task<StreamApplicationStatus> StartWithAsync(StreamApplicationStart start)
        {
            LastStart = start;
            return StartAsync(start.Parameters);
        }

        public Task<StreamApplicationStatus> PauseAsync()
        {
            state = StreamApplicationState.Paused;
            return GetStatusAsync();
        }

        public Task<StreamApplicationStatus> ResumeAsync()
        {
            state = StreamApplicationState.Running;
            return GetStatusAsync();
        }

        public Task ResetAsync(StreamPosition position) => state == StreamApplicationState.Stopped
            ? throw new StreamsException(StreamsErrorCode.InvalidInput, $"reset to {position}")
            : throw new StreamsException(StreamsErrorCode.InvalidRequest, "It runs: stop it first.");

        public Task StopAsync()
        {
            state = StreamApplicationState.Stopped;
            return Task.CompletedTask;
        }

        public Task DropAsync() => StopAsync();

        public Task<StreamApplicationStatus> GetStatusAsync() => Task.FromResult(new StreamApplicationStatus(Name, state, parameters, state == StreamApplicationState.Stopped ? [] :
        [
            new StreamTaskStatus("0_0", StreamTaskState.Completed, long.MaxValue, 100, 100, 0, 0, 7, 0, 0, 100, 4096, 4096, null),
            new StreamTaskStatus("1_0", StreamTaskState.Running, Watermark, 60, 30, 2, 5, 9, 12.5, 17, -1, -1, -1, null),
            new StreamTaskStatus("1_1", StreamTaskState.Failed, Watermark + 1, 40, 10, 1, 3, 4, 0.5, 3, -1, -1, -1, "The value at offset 7\nis no number."),
        ]));

        public Task<ApplicationUse> GetUseAsync() => throw new InvalidOperationException("it has no versions");

        public Task EnsureRunningAsync() => Task.CompletedTask;

        public Task<TopologyText> GetTopologyAsync() => Task.FromResult(new TopologyText("Sub-topology 0\n  in: topic in\n", "flowchart TD\n"));

        public Task<StorePlace> LocateAsync(string store, ReadOnlyMemory<byte>? key) => Task.FromResult(new StorePlace(Name, []));

        public Task<StoreScanResult> ScanAsync(StoreScan scan)
        {
            // One row a page, whose value tells what was asked.
            var asked = $$"""{"from":"{{Encoding.UTF8.GetString(scan.FromKey.Span)}}","to":"{{Encoding.UTF8.GetString(scan.ToKey.Span)}}","limit":{{scan.Limit}},"after":"{{Encoding.UTF8.GetString(scan.Continuation.Span)}}","atLeast":"{{string.Join(' ', scan.AtLeast)}}","wait":{{scan.WaitMs}}}""";
            var row = new StoreRow("a"u8.ToArray(), -1, -1, Encoding.UTF8.GetBytes(asked), false);
            return Task.FromResult(new StoreScanResult([row], [new PartitionView(0, "1_0", Watermark, 42, 9)], "next"u8.ToArray()) { Application = Name, KeySerde = "utf8" });
        }

        public Task<StateQueryResult> QueryAsync(StateQuery query)
        {
            if (state != StreamApplicationState.Running)
            {
                throw new StreamsException(StreamsErrorCode.ApplicationNotRunning, $"Application '{Name}' is not running; start it.");
            }

            if (query.Store == "nowhere")
            {
                throw new StreamsException(StreamsErrorCode.StoreNotFound, "The application has no store 'nowhere'; it has delays.");
            }

            if (query.Store == "plain")
            {
                return Task.FromResult(new StateQueryResult([new StateEntry(-1, -1, new byte[] { 0xff, 0x00 }, false)], long.MinValue, 0) { Application = Name });
            }

            if (query.Store.StartsWith("serde.", StringComparison.Ordinal))
            {
                // A value that is the key's bytes, written with the serde that the store is named after.
                return Task.FromResult(new StateQueryResult([new StateEntry(-1, -1, query.Key, false)], Watermark, 0) { Application = Name, ValueSerde = query.Store[6..] });
            }

            var entries = Enumerable.Range(0, 3)
                .Select(hour => Watermark - 7_200_000 + (hour * 3_600_000L))
                .Where(start => start >= query.FromMs && start < query.ToMs)
                .Select(start => new StateEntry(start, start + 3_600_000, Encoding.UTF8.GetBytes($$"""{"key":"{{Encoding.UTF8.GetString(query.Key.Span)}}"}"""), start < Watermark))
                .Take(query.Limit);
            return Task.FromResult(new StateQueryResult([.. entries], Watermark, 42) { Application = Name });
        }
    }

    private sealed class UnknownApplication(string name) : IStreamApplicationGrain
    {
        public Task<StreamApplicationStatus> StartAsync(ImmutableDictionary<string, string> parameters) => throw NotFound();

        public Task<StreamApplicationStatus> StartWithAsync(StreamApplicationStart start) => throw NotFound();

        public Task<StreamApplicationStatus> PauseAsync() => throw NotFound();

        public Task<StreamApplicationStatus> ResumeAsync() => throw NotFound();

        public Task ResetAsync(StreamPosition position) => throw NotFound();

        public Task StopAsync() => throw NotFound();

        public Task DropAsync() => throw NotFound();

        public Task<StreamApplicationStatus> GetStatusAsync() => throw NotFound();

        public Task<ApplicationUse> GetUseAsync() => throw NotFound();

        public Task EnsureRunningAsync() => throw NotFound();

        public Task<StateQueryResult> QueryAsync(StateQuery query) => throw NotFound();

        public Task<StoreScanResult> ScanAsync(StoreScan scan) => throw NotFound();

        public Task<TopologyText> GetTopologyAsync() => throw NotFound();

        public Task<StorePlace> LocateAsync(string store, ReadOnlyMemory<byte>? key) => throw NotFound();

        private StreamsException NotFound() => new(StreamsErrorCode.ApplicationNotFound, $"There is no application '{name}'; GET /apps lists what there is.");
    }
}
