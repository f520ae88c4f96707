using System.Globalization;
using System.Text.RegularExpressions;
using OrleansStreams.Infra.Tests.Docker;

namespace OrleansStreams.Infra.Tests.Kubernetes;

/// <summary>The manifests against each other, the Dockerfile and the silo.</summary>
public sealed partial class KubernetesTests
{
    // The user of the .NET images: APP_UID there.
    private const int AppUid = 1654;

    private static readonly Dockerfile Image = new(Repository.Read("infra/docker/Dockerfile"));

    [Fact]
    public void The_manifests_fit_each_other_the_image_and_the_silo() => Faults(ManifestSet.Files()).ShouldBeEmpty();

    [Theory]
    [InlineData("deployment.yaml", "readinessProbe:", "readynessProbe:", "readynessProbe")]
    [InlineData("deployment.yaml", "replicas: 3", "replicas: three", "deployment.yaml")]
    [InlineData("deployment.yaml", "replicas: 3", "replicas: 1", "3 replicas")]
    [InlineData("deployment.yaml", "apiVersion: apps/v1", "apiVersion: apps/v1beta1", "not a kind that is known")]
    [InlineData("deployment.yaml", "STREAMS_ADVERTISED_ADDRESS", "STREAMS_ADVERTISED_IP", "STREAMS_ADVERTISED_IP is no setting")]
    [InlineData("deployment.yaml", "status.podIP", "status.hostIP", "podIP")]
    [InlineData("deployment.yaml", "containerPort: 11111", "containerPort: 11112", "port silo is 11112")]
    [InlineData("deployment.yaml", "/health/live", "/live", "/live is no route")]
    [InlineData("deployment.yaml", "/health/ready, port: http", "/health/ready, port: web", "there is no port web")]
    [InlineData("deployment.yaml", "/health/ready", "/health/live", "readiness asks")]
    [InlineData("deployment.yaml", "terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 30", "killed while it stops")]
    [InlineData("deployment.yaml", "\"sleep\", \"5\"", "\"sleep\", \"40\"", "killed while it stops")]
    [InlineData("deployment.yaml", "runAsUser: 1654", "runAsUser: 0", "user 0")]
    [InlineData("deployment.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "root")]
    [InlineData("deployment.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "root file system")]
    [InlineData("deployment.yaml", "mountPath: /data", "mountPath: /var", "/data cannot be written")]
    [InlineData("deployment.yaml", "name: data, mountPath", "name: dat, mountPath", "there is no volume dat")]
    [InlineData("deployment.yaml", "memory: 2Gi", "memory: 2 GB", "2 GB is no quantity")]
    [InlineData("deployment.yaml", "memory: 1Gi", "memory: 4Gi", "more memory than the limit")]
    [InlineData("deployment.yaml", "configMapRef: { name: streams }", "configMapRef: { name: stream }", "there is no ConfigMap stream")]
    [InlineData("deployment.yaml", "key: PGPASSWORD", "key: password", "the Secret has no password")]
    [InlineData("deployment.yaml", "image: orleans-streams-silo:local", "image: silo:local", "kustomization")]
    [InlineData("deployment.yaml", "maxUnavailable: 0", "maxUnavailable: 1", "before a new one is there")]
    [InlineData("deployment.yaml", "prometheus.io/path: /metrics", "prometheus.io/path: /metric", "/metric is no route")]
    [InlineData("deployment.yaml", "prometheus.io/port: \"8080\"", "prometheus.io/port: \"80\"", "metrics are scraped at port 80")]
    [InlineData("settings.yaml", "STREAMS_MIGRATE", "STREAMS_MIGRATION", "STREAMS_MIGRATION is no setting")]
    [InlineData("settings.yaml", "\"on\"", "\"yes\"", "the silo refuses")]
    [InlineData("settings.yaml", "STREAMS_POSTGRES", "STREAMS_SCHEMA", "no PostgreSQL")]
    [InlineData("settings.yaml", "Username=streams", "Username=streams;Password=x", "a password in a ConfigMap")]
    [InlineData("service.yaml", "targetPort: http", "targetPort: web", "there is no port web")]
    [InlineData("service.yaml", "app.kubernetes.io/name: streams }\n  ports", "app.kubernetes.io/name: silo }\n  ports", "selects no pod")]
    [InlineData("disruption-budget.yaml", "maxUnavailable: 1", "maxUnavailable: 3", "leaves no silo")]
    [InlineData("disruption-budget.yaml", "matchLabels: { app.kubernetes.io/name: streams }", "matchLabels: { app: streams }", "selects no pod")]
    [InlineData("network-policy.yaml", "port: silo", "port: silos", "there is no port silos")]
    [InlineData("network-policy.yaml", "    - ports:\n        - { port: http }", "    - ports:\n        - { port: http }\n        - { port: silo }", "silo is open to all")]
    [InlineData("kustomization.yaml", "  - service.yaml\n", "", "service.yaml is not in the kustomization")]
    [InlineData("kustomization.yaml", "  - settings.yaml\n", "  - settings.yaml\n  - secret.template.yaml\n", "a template of a secret would be applied")]
    [InlineData("kustomization.yaml", "newTag: \"1.0\"", "newTag: latest", "not pinned")]
    [InlineData("secret.template.yaml", "PGPASSWORD: \"\"", "PGPASSWORD: secret", "a secret is written down")]
    public void A_mistake_in_a_manifest_is_found(string file, string right, string wrong, string told)
    {
        var files = ManifestSet.Files();
        files[file] = Repository.Planted(files[file], right, wrong);
        Faults(files).ShouldContain(fault => fault.Contains(told, StringComparison.Ordinal));
    }

    private static List<string> Faults(Dictionary<string, string> files)
    {
        var set = new ManifestSet(files);
        return set.Faults.Count > 0
            ? set.Faults
            : [.. Kustomized(set), .. Settings(set), .. Ports(set), .. Probes(set), .. Stopping(set), .. Security(set), .. Selectors(set), .. Amounts(set)];
    }

    private static Container Silo(ManifestSet set) => set.One<Deployment>().Spec.Template.Spec.Containers.Single();

    private static IEnumerable<string> Kustomized(ManifestSet set)
    {
        var kustomization = set.One<Kustomization>();
        foreach (var name in set.ByFile.Where(file => file.Value is Manifest and not Secret).Select(file => file.Key).Except(kustomization.Resources))
        {
            yield return $"{name} is not in the kustomization";
        }

        foreach (var name in kustomization.Resources.Where(name => set.ByFile.GetValueOrDefault(name) is not Manifest))
        {
            yield return $"the kustomization names {name}, which is not there";
        }

        if (kustomization.Resources.Any(name => set.ByFile[name] is Secret))
        {
            yield return "a template of a secret would be applied";
        }

        if (kustomization.Images.SingleOrDefault(image => image.Name == Silo(set).Image.Split(':')[0]) is not { } image)
        {
            yield return $"the kustomization has another image than {Silo(set).Image}";
        }
        else if (image.NewTag is "latest" or "")
        {
            yield return $"{image.NewName} is not pinned";
        }
    }

    private static IEnumerable<string> Settings(ManifestSet set)
    {
        var map = set.One<ConfigMap>();
        foreach (var name in Silo(set).EnvFrom.Select(source => source.ConfigMapRef.Name).Where(name => name != map.Metadata.Name))
        {
            yield return $"there is no ConfigMap {name}";
        }

        var secret = set.One<Secret>();
        foreach (var key in Silo(set).Env.Select(variable => variable.ValueFrom.SecretKeyRef).OfType<KeyReference>().Where(key => key.Name != secret.Metadata.Name || !secret.StringData.ContainsKey(key.Key)))
        {
            yield return $"the Secret has no {key.Key}, or is not {key.Name}";
        }

        if (secret.StringData.Values.Any(value => value.Length > 0))
        {
            yield return "a secret is written down";
        }

        var variables = new Dictionary<string, string>(map.Data);
        foreach (var variable in Silo(set).Env)
        {
            variables[variable.Name] = "10.1.2.3";
        }

        foreach (var fault in SiloFacts.FaultsOf(variables))
        {
            yield return fault;
        }

        var connection = new Npgsql.NpgsqlConnectionStringBuilder(map.Data.GetValueOrDefault("STREAMS_POSTGRES", ""));
        if (connection.Host is null)
        {
            yield return "no PostgreSQL is named, and files are for one silo";
        }

        if (connection.Password is not null)
        {
            yield return "there is a password in a ConfigMap";
        }

        if (Silo(set).Env.SingleOrDefault(variable => variable.Name == "STREAMS_ADVERTISED_ADDRESS")?.ValueFrom.FieldRef?.FieldPath != "status.podIP")
        {
            yield return "silos reach each other at status.podIP only";
        }
    }

    private static IEnumerable<string> Ports(ManifestSet set)
    {
        var expected = new Dictionary<string, string>
        {
            ["http"] = Image.Variables["ASPNETCORE_HTTP_PORTS"],
            ["silo"] = Image.Variables["STREAMS_SILO_PORT"],
            ["gateway"] = Image.Variables["STREAMS_GATEWAY_PORT"],
        };
        foreach (var port in Silo(set).Ports.Where(port => $"{port.Number}" != expected.GetValueOrDefault(port.Name)))
        {
            yield return $"port {port.Name} is {port.Number}, in the image {expected.GetValueOrDefault(port.Name, "unknown")}";
        }

        var rules = set.One<NetworkPolicy>().Spec.Ingress;
        var used = set.One<Service>().Spec.Ports.Select(port => port.TargetPort).Concat(rules.SelectMany(rule => rule.Ports).Select(port => port.Port)).Concat(AllProbes(set).Select(probe => probe.HttpGet.Port));
        foreach (var port in used.Where(port => !Silo(set).Ports.Any(known => known.Name == port)))
        {
            yield return $"there is no port {port}";
        }

        foreach (var port in rules.Where(rule => rule.From.Length == 0).SelectMany(rule => rule.Ports).Where(port => port.Port != "http"))
        {
            yield return $"{port.Port} is open to all";
        }

        var scraped = set.One<Deployment>().Spec.Template.Metadata.Annotations;
        if (scraped["prometheus.io/port"] != expected["http"])
        {
            yield return $"metrics are scraped at port {scraped["prometheus.io/port"]}";
        }

        if (!SiloFacts.HasRoute(scraped["prometheus.io/path"]))
        {
            yield return $"{scraped["prometheus.io/path"]} is no route of the silo";
        }
    }

    private static Probe[] AllProbes(ManifestSet set) => [Silo(set).StartupProbe, Silo(set).LivenessProbe, Silo(set).ReadinessProbe];

    private static IEnumerable<string> Probes(ManifestSet set)
    {
        foreach (var path in AllProbes(set).Select(probe => probe.HttpGet.Path).Where(path => !SiloFacts.HasRoute(path)))
        {
            yield return $"{path} is no route of the silo";
        }

        // A database that is away makes a silo not ready; to restart it would not bring the database back.
        if (Silo(set).LivenessProbe.HttpGet.Path != "/health/live" || Silo(set).ReadinessProbe.HttpGet.Path != "/health/ready")
        {
            yield return $"liveness asks {Silo(set).LivenessProbe.HttpGet.Path}, readiness asks {Silo(set).ReadinessProbe.HttpGet.Path}";
        }
    }

    private static IEnumerable<string> Stopping(ManifestSet set)
    {
        var pod = set.One<Deployment>().Spec.Template.Spec;
        var before = Silo(set).Lifecycle.PreStop.Exec.Command is ["sleep", var seconds] ? int.Parse(seconds, CultureInfo.InvariantCulture) : 0;
        var takes = TimeSpan.FromSeconds(before + 5) + SiloFacts.ShutdownTimeout;
        if (TimeSpan.FromSeconds(pod.TerminationGracePeriodSeconds) < takes)
        {
            yield return $"after {pod.TerminationGracePeriodSeconds} s it is killed while it stops; it may take {takes.TotalSeconds:0} s";
        }

        var deployment = set.One<Deployment>().Spec;
        if (deployment.Replicas != 3)
        {
            yield return "a cluster that can lose one while another is replaced has 3 replicas";
        }

        if (deployment.Strategy.RollingUpdate is not { MaxUnavailable: 0, MaxSurge: > 0 })
        {
            yield return "an old silo goes before a new one is there";
        }

        if (set.One<DisruptionBudget>().Spec.MaxUnavailable >= deployment.Replicas)
        {
            yield return "the disruption budget leaves no silo";
        }
    }

    private static IEnumerable<string> Security(ManifestSet set)
    {
        var pod = set.One<Deployment>().Spec.Template.Spec;
        if (!pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.RunAsUser != AppUid || pod.SecurityContext.RunAsGroup != AppUid)
        {
            yield return $"it may run as root, or as user {pod.SecurityContext.RunAsUser}, who does not own {Image.Variables["STREAMS_DATA"]} in the image";
        }

        if (Silo(set).SecurityContext is not { AllowPrivilegeEscalation: false, ReadOnlyRootFilesystem: true, Capabilities.Drop: ["ALL"] })
        {
            yield return "its root file system can be written, or it may gain privileges";
        }

        foreach (var mount in Silo(set).VolumeMounts.Where(mount => !pod.Volumes.Any(volume => volume.Name == mount.Name)))
        {
            yield return $"there is no volume {mount.Name}";
        }

        foreach (var folder in new[] { "/tmp", Image.Variables["STREAMS_DATA"] }.Where(folder => !Silo(set).VolumeMounts.Any(mount => mount.MountPath == folder)))
        {
            yield return $"{folder} cannot be written";
        }
    }

    private static IEnumerable<string> Selectors(ManifestSet set)
    {
        var deployment = set.One<Deployment>().Spec;
        var labels = deployment.Template.Metadata.Labels;
        Dictionary<string, string>[] selectors =
        [
            deployment.Selector.MatchLabels, set.One<Service>().Spec.Selector, set.One<DisruptionBudget>().Spec.Selector.MatchLabels, set.One<NetworkPolicy>().Spec.PodSelector.MatchLabels,
            .. deployment.Template.Spec.TopologySpreadConstraints.Select(spread => spread.LabelSelector.MatchLabels),
        ];
        return selectors.Where(selector => selector.Count == 0 || selector.Any(pair => labels.GetValueOrDefault(pair.Key) != pair.Value))
            .Select(selector => $"{string.Join(',', selector)} selects no pod");
    }

    private static IEnumerable<string> Amounts(ManifestSet set)
    {
        var resources = Silo(set).Resources;
        var wrong = resources.Requests.Values.Concat(resources.Limits.Values).Concat(set.One<Deployment>().Spec.Template.Spec.Volumes.Select(volume => volume.EmptyDir.SizeLimit))
            .Where(amount => !Quantity().IsMatch(amount)).Select(amount => $"{amount} is no quantity").ToList();
        return wrong.Count > 0 || Mebibytes(resources.Requests["memory"]) <= Mebibytes(resources.Limits["memory"]) ? wrong : ["it asks for more memory than the limit"];
    }

    private static long Mebibytes(string amount) => long.Parse(amount[..^2], CultureInfo.InvariantCulture) * (amount.EndsWith("Gi", StringComparison.Ordinal) ? 1024 : 1);

    [GeneratedRegex("^[0-9]+(m|Mi|Gi)?$")]
    private static partial Regex Quantity();
}
