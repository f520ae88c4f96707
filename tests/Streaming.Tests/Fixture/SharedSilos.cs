namespace OrleansStreams.Streaming.Fixture;

/// <summary>Two silos and a client, with providers of several kinds, for tests that leave the silos alone.</summary>
public sealed class SharedSilos : IAsyncLifetime
{
    public const string Plain = "plain";
    public const string Small = "small";
    public const string Batches = "batches";
    public const string Poison = "poison";

    private static readonly Dictionary<string, Action<LogStreamOptions>> s_providers = new()
    {
        [Plain] = options => options.CheckpointIntervalMs = 50,
        [Small] = options =>
        {
            options.Partitions = 1;
            options.CheckpointIntervalMs = 50;
            options.CacheBytesMax = 64 * 1024;
            options.ReadAheadBytesMax = 64 * 1024;
            options.FetchBytes = 16 * 1024;
        },
        [Batches] = options =>
        {
            options.Partitions = 1;
            options.DeliveryBatchMax = 100;
            options.DeliveryAttemptsMax = 3;
            options.DeliveryBackoffMs = 10;
        },
        [Poison] = options =>
        {
            options.Partitions = 1;
            options.CheckpointIntervalMs = 50;
            options.DeliveryAttemptsMax = 4;
            options.DeliveryBackoffMs = 200;
        },
    };

    public StreamSilos Silos { get; private set; } = null!;

    public async Task InitializeAsync() => Silos = await StreamSilos.StartAsync(
        2,
        silo =>
        {
            foreach (var (name, configure) in s_providers)
            {
                silo.AddLogStreams(name, configure);
            }
        },
        client =>
        {
            foreach (var (name, configure) in s_providers)
            {
                client.AddLogStreams(name, configure);
            }
        });

    public async Task DisposeAsync() => await Silos.DisposeAsync();
}

[CollectionDefinition(Name)]
public sealed class SharedSilosCollection : ICollectionFixture<SharedSilos>
{
    public const string Name = "shared silos";
}
