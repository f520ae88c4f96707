using YamlDotNet.Core;
using YamlDotNet.Serialization;
using YamlDotNet.Serialization.NamingConventions;

namespace OrleansStreams.Infra.Tests;

/// <summary>YAML into types that know every key which these files may have: an unknown or doubled key, and a required one that is missing, is refused.</summary>
internal static class StrictYaml
{
    public static T Camel<T>(string text) => Read<T>(text, CamelCaseNamingConvention.Instance);

    public static T Snake<T>(string text) => Read<T>(text, UnderscoredNamingConvention.Instance);

    /// <summary>Of any document: nothing but a map of its first level.</summary>
    public static Dictionary<string, object> Map(string text) => Read<Dictionary<string, object>>(text, NullNamingConvention.Instance);

    private static T Read<T>(string text, INamingConvention naming) => new DeserializerBuilder()
        .WithNamingConvention(naming)
        .WithDuplicateKeyChecking()
        .WithEnforceRequiredMembers()
        .Build()
        .Deserialize<T>(new MergingParser(new Parser(new StringReader(text))));
}
