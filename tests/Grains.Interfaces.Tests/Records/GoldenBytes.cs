namespace OrleansStreams.Tests.Records;

/// <summary>Reads the annotated hex files of tests/Golden.</summary>
internal static class GoldenBytes
{
    public static string Folder { get; } = Path.Combine(AppContext.BaseDirectory, "Golden", "record-batch-v2");

    public static byte[] Read(string name) =>
        Convert.FromHexString(string.Concat(
            File.ReadLines(Path.Combine(Folder, name + ".hex")).Select(line => line.Split('#')[0].Trim())));

    public static IEnumerable<string> Names() =>
        Directory.GetFiles(Folder, "*.hex").Select(Path.GetFileNameWithoutExtension).Order(StringComparer.Ordinal)!;
}
