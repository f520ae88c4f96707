namespace OrleansStreams.Infra.Tests.Compose;

/// <summary>The part of the Compose specification (compose-spec.io) that our file uses; anything else in it is refused until it is described here.</summary>
internal sealed class ComposeFile
{
    public required string Name { get; init; }

    public required Dictionary<string, ComposeService> Services { get; init; }

    public Dictionary<string, object?> Volumes { get; init; } = [];

    [YamlDotNet.Serialization.YamlMember(Alias = "x-silo", ApplyNamingConventions = false)]
    public object? Shared { get; init; }
}

internal sealed class ComposeService
{
    public required string Image { get; init; }

    public ComposeBuild? Build { get; init; }

    public string[] Command { get; init; } = [];

    public string? Hostname { get; init; }

    public Dictionary<string, string> Environment { get; init; } = [];

    public Dictionary<string, ComposeDependency> DependsOn { get; init; } = [];

    public required ComposeHealth Healthcheck { get; init; }

    public string[] Ports { get; init; } = [];

    public string[] Volumes { get; init; } = [];

    public string[] Tmpfs { get; init; } = [];

    public required string Restart { get; init; }

    public required string StopGracePeriod { get; init; }

    public bool ReadOnly { get; init; }

    public string[] CapDrop { get; init; } = [];

    public string[] SecurityOpt { get; init; } = [];
}

internal sealed class ComposeBuild
{
    public required string Context { get; init; }

    public required string Dockerfile { get; init; }

    public Dictionary<string, string> Args { get; init; } = [];
}

internal sealed class ComposeDependency
{
    public required string Condition { get; init; }
}

internal sealed class ComposeHealth
{
    public required string[] Test { get; init; }

    public required string Interval { get; init; }

    public required string Timeout { get; init; }

    public required int Retries { get; init; }

    public string StartPeriod { get; init; } = "0s";
}
