using YamlDotNet.Core;

namespace OrleansStreams.Infra.Tests.Kubernetes;

/// <summary>All manifests of a folder, read strictly; what cannot be read is a fault.</summary>
internal sealed class ManifestSet
{
    private static readonly Dictionary<string, (string ApiVersion, Func<string, object> Read)> Kinds = new()
    {
        ["ConfigMap"] = ("v1", StrictYaml.Camel<ConfigMap>),
        ["Secret"] = ("v1", StrictYaml.Camel<Secret>),
        ["Service"] = ("v1", StrictYaml.Camel<Service>),
        ["Deployment"] = ("apps/v1", StrictYaml.Camel<Deployment>),
        ["PodDisruptionBudget"] = ("policy/v1", StrictYaml.Camel<DisruptionBudget>),
        ["NetworkPolicy"] = ("networking.k8s.io/v1", StrictYaml.Camel<NetworkPolicy>),
        ["Kustomization"] = ("kustomize.config.k8s.io/v1beta1", StrictYaml.Camel<Kustomization>),
    };

    public ManifestSet(IReadOnlyDictionary<string, string> files)
    {
        foreach (var (name, text) in files)
        {
            try
            {
                var map = StrictYaml.Map(text);
                if (!Kinds.TryGetValue((string)map["kind"], out var kind) || (string)map["apiVersion"] != kind.ApiVersion)
                {
                    Faults.Add($"{name}: {map["apiVersion"]} {map["kind"]} is not a kind that is known here");
                    continue;
                }

                ByFile[name] = kind.Read(text);
            }
            catch (YamlException error)
            {
                Faults.Add($"{name}: {error.Message} {error.InnerException?.Message}");
            }
        }
    }

    public List<string> Faults { get; } = [];

    public Dictionary<string, object> ByFile { get; } = [];

    public T One<T>() => ByFile.Values.OfType<T>().Single();

    public static Dictionary<string, string> Files() => Directory.GetFiles(Repository.PathOf("infra/kubernetes"), "*.yaml")
        .ToDictionary(path => Path.GetFileName(path), File.ReadAllText);
}
