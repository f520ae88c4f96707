using Microsoft.Extensions.FileSystemGlobbing;

namespace OrleansStreams.Infra.Tests.Docker;

/// <summary>The build context as the engine would send it, and what COPY instructions make of it in a folder that goes with its test.</summary>
internal sealed class ImageTree : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("infra-image-");
    private readonly Matcher ignored = new(StringComparison.Ordinal);

    public ImageTree(string ignoreText)
    {
        foreach (var pattern in ignoreText.Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0 && !line.StartsWith('#')))
        {
            if (pattern.StartsWith('!'))
            {
                throw new NotSupportedException("exceptions in .dockerignore are not followed here");
            }

            ignored.AddInclude(pattern).AddInclude(pattern + "/**");
        }
    }

    public string Root => folder.FullName;

    /// <summary>Carries out a COPY; returns what could not be found.</summary>
    public IEnumerable<string> Copy(Instruction copy)
    {
        var target = Path.Combine(Root, copy.Words[^1].TrimEnd('/'));
        return [.. copy.Words[..^1].Where(source => !Copy(source, target))];
    }

    public void Dispose() => folder.Delete(recursive: true);

    private bool Copy(string source, string target)
    {
        var path = Repository.PathOf(source.TrimEnd('/'));
        var files = File.Exists(path) ? [path] : Directory.Exists(path) ? Directory.GetFiles(path, "*", SearchOption.AllDirectories) : [];
        var any = false;
        foreach (var file in files.Where(file => !ignored.Match(Path.GetRelativePath(Repository.Root, file)).HasMatches))
        {
            var copied = Path.Combine(target, File.Exists(path) ? Path.GetFileName(file) : Path.GetRelativePath(path, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copied)!);
            File.Copy(file, copied, overwrite: true);
            any = true;
        }

        return any;
    }
}
