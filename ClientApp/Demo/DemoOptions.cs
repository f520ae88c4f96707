namespace OrleansStreams.ClientApp.Demo;

/// <summary>The options of <c>demo</c>.</summary>
internal sealed record DemoOptions
{
    public string? Data { get; init; }

    public string? Input { get; init; }

    public int Partitions { get; init; }

    public TimeSpan OutOfOrderness { get; init; }

    public TimeSpan Grace { get; init; }

    public double Rate { get; init; }

    public string? Output { get; init; }

    public bool Verify { get; init; }

    public bool Json { get; init; }

    public bool Fresh { get; init; }
}
