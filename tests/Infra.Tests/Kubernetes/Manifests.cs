namespace OrleansStreams.Infra.Tests.Kubernetes;

// The parts of the Kubernetes API (kubernetes.io/docs/reference/kubernetes-api) that our manifests use, with the names of that API. A key that is not
// described here is refused, so that a misspelt one, which a server may ignore, is found.

internal class Manifest
{
    public required string ApiVersion { get; init; }

    public required string Kind { get; init; }

    public required Metadata Metadata { get; init; }
}

internal sealed class Metadata
{
    public string? Name { get; init; }

    public Dictionary<string, string> Labels { get; init; } = [];

    public Dictionary<string, string> Annotations { get; init; } = [];
}

internal sealed class LabelSelector
{
    public required Dictionary<string, string> MatchLabels { get; init; }
}

internal sealed class ConfigMap : Manifest
{
    public required Dictionary<string, string> Data { get; init; }
}

internal sealed class Secret : Manifest
{
    public required string Type { get; init; }

    public required Dictionary<string, string> StringData { get; init; }
}

internal sealed class Service : Manifest
{
    public required ServiceSpec Spec { get; init; }
}

internal sealed class ServiceSpec
{
    public required Dictionary<string, string> Selector { get; init; }

    public required ServicePort[] Ports { get; init; }
}

internal sealed class ServicePort
{
    public required string Name { get; init; }

    public required int Port { get; init; }

    public required string TargetPort { get; init; }
}

internal sealed class DisruptionBudget : Manifest
{
    public required DisruptionBudgetSpec Spec { get; init; }
}

internal sealed class DisruptionBudgetSpec
{
    public required int MaxUnavailable { get; init; }

    public required LabelSelector Selector { get; init; }
}

internal sealed class NetworkPolicy : Manifest
{
    public required NetworkPolicySpec Spec { get; init; }
}

internal sealed class NetworkPolicySpec
{
    public required LabelSelector PodSelector { get; init; }

    public required string[] PolicyTypes { get; init; }

    public required IngressRule[] Ingress { get; init; }
}

internal sealed class IngressRule
{
    public Peer[] From { get; init; } = [];

    public required PeerPort[] Ports { get; init; }
}

internal sealed class Peer
{
    public required LabelSelector PodSelector { get; init; }
}

internal sealed class PeerPort
{
    public required string Port { get; init; }
}

internal sealed class Kustomization
{
    public required string ApiVersion { get; init; }

    public required string Kind { get; init; }

    public required string[] Resources { get; init; }

    public required KustomizedImage[] Images { get; init; }
}

internal sealed class KustomizedImage
{
    public required string Name { get; init; }

    public required string NewName { get; init; }

    public required string NewTag { get; init; }
}

internal sealed class Deployment : Manifest
{
    public required DeploymentSpec Spec { get; init; }
}

internal sealed class DeploymentSpec
{
    public required int Replicas { get; init; }

    public required LabelSelector Selector { get; init; }

    public required DeploymentStrategy Strategy { get; init; }

    public int MinReadySeconds { get; init; }

    public required PodTemplate Template { get; init; }
}

internal sealed class DeploymentStrategy
{
    public required string Type { get; init; }

    public required RollingUpdate RollingUpdate { get; init; }
}

internal sealed class RollingUpdate
{
    public required int MaxSurge { get; init; }

    public required int MaxUnavailable { get; init; }
}

internal sealed class PodTemplate
{
    public required Metadata Metadata { get; init; }

    public required PodSpec Spec { get; init; }
}

internal sealed class PodSpec
{
    public bool AutomountServiceAccountToken { get; init; } = true;

    public required int TerminationGracePeriodSeconds { get; init; }

    public required PodSecurity SecurityContext { get; init; }

    public required TopologySpread[] TopologySpreadConstraints { get; init; }

    public required Container[] Containers { get; init; }

    public required Volume[] Volumes { get; init; }
}

internal sealed class PodSecurity
{
    public required bool RunAsNonRoot { get; init; }

    public required int RunAsUser { get; init; }

    public required int RunAsGroup { get; init; }

    public required SeccompProfile SeccompProfile { get; init; }
}

internal sealed class SeccompProfile
{
    public required string Type { get; init; }
}

internal sealed class TopologySpread
{
    public required int MaxSkew { get; init; }

    public required string TopologyKey { get; init; }

    public required string WhenUnsatisfiable { get; init; }

    public required LabelSelector LabelSelector { get; init; }
}

internal sealed class Container
{
    public required string Name { get; init; }

    public required string Image { get; init; }

    public required ContainerPort[] Ports { get; init; }

    public required EnvironmentSource[] EnvFrom { get; init; }

    public required EnvironmentVariable[] Env { get; init; }

    public required Probe StartupProbe { get; init; }

    public required Probe LivenessProbe { get; init; }

    public required Probe ReadinessProbe { get; init; }

    public required Lifecycle Lifecycle { get; init; }

    public required Resources Resources { get; init; }

    public required ContainerSecurity SecurityContext { get; init; }

    public required VolumeMount[] VolumeMounts { get; init; }
}

internal sealed class ContainerPort
{
    public required string Name { get; init; }

    // Written so in the API's own JSON.
    [YamlDotNet.Serialization.YamlMember(Alias = "containerPort", ApplyNamingConventions = false)]
    public required int Number { get; init; }
}

internal sealed class EnvironmentSource
{
    public required Reference ConfigMapRef { get; init; }
}

internal sealed class Reference
{
    public required string Name { get; init; }
}

internal sealed class EnvironmentVariable
{
    public required string Name { get; init; }

    public required ValueSource ValueFrom { get; init; }
}

internal sealed class ValueSource
{
    public FieldReference? FieldRef { get; init; }

    public KeyReference? SecretKeyRef { get; init; }
}

internal sealed class FieldReference
{
    public required string FieldPath { get; init; }
}

internal sealed class KeyReference
{
    public required string Name { get; init; }

    public required string Key { get; init; }
}

internal sealed class Probe
{
    public required HttpGet HttpGet { get; init; }

    public required int PeriodSeconds { get; init; }

    public required int TimeoutSeconds { get; init; }

    public required int FailureThreshold { get; init; }
}

internal sealed class HttpGet
{
    public required string Path { get; init; }

    public required string Port { get; init; }
}

internal sealed class Lifecycle
{
    public required Handler PreStop { get; init; }
}

internal sealed class Handler
{
    public required Exec Exec { get; init; }
}

internal sealed class Exec
{
    public required string[] Command { get; init; }
}

internal sealed class Resources
{
    public required Dictionary<string, string> Requests { get; init; }

    public required Dictionary<string, string> Limits { get; init; }
}

internal sealed class ContainerSecurity
{
    public required bool AllowPrivilegeEscalation { get; init; }

    public required bool ReadOnlyRootFilesystem { get; init; }

    public required Capabilities Capabilities { get; init; }
}

internal sealed class Capabilities
{
    public required string[] Drop { get; init; }
}

internal sealed class VolumeMount
{
    public required string Name { get; init; }

    public required string MountPath { get; init; }
}

internal sealed class Volume
{
    public required string Name { get; init; }

    public required EmptyDirectory EmptyDir { get; init; }
}

internal sealed class EmptyDirectory
{
    public required string SizeLimit { get; init; }
}
