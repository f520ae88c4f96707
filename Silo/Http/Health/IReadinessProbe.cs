namespace OrleansStreams.Silo.Http.Health;

/// <summary>Something that must hold before the server is sent requests; every registered probe is asked by /health/ready.</summary>
public interface IReadinessProbe
{
    /// <summary>A short name for the answer.</summary>
    string Name { get; }

    /// <summary>Null when it holds, else what is wrong and what to do. Must not throw.</summary>
    ValueTask<string?> CheckAsync(CancellationToken cancellationToken);
}
