using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace OrleansStreams.Silo.Samples;

/// <summary>The order and the lines of a result file: by window start, then origin in ordinal order.</summary>
public sealed class WindowFile : ISortFormat<DelayWindow>
{
    /// <summary>The one instance.</summary>
    public static WindowFile Format { get; } = new();

    /// <summary>The line of a window, without its line break.</summary>
    public static string LineOf(DelayWindow window)
    {
        var start = window.WindowStart.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);
        var origin = JsonEncodedText.Encode(window.Origin, JavaScriptEncoder.Default);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{{\"window_start\":\"{start}\",\"origin\":\"{origin}\",\"count\":{window.Count},\"sum_delay\":{window.SumDelay},\"max_delay\":{window.MaxDelay}}}");
    }

    /// <summary>Writes windows, which must be in order, to a file that is there whole or not at all.</summary>
    public static void Write(string path, IEnumerable<DelayWindow> windows)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        Directory.CreateDirectory(folder);
        ArrivalOrder.WriteWhole(path, file =>
        {
            foreach (var window in windows)
            {
                file.Write(Encoding.UTF8.GetBytes(LineOf(window)));
                file.WriteByte((byte)'\n');
            }
        });
    }

    /// <inheritdoc/>
    public int Compare(DelayWindow? x, DelayWindow? y)
    {
        var byStart = x!.WindowStart.CompareTo(y!.WindowStart);
        return byStart != 0 ? byStart : string.CompareOrdinal(x.Origin, y.Origin);
    }

    void ISortFormat<DelayWindow>.Write(BinaryWriter writer, DelayWindow item)
    {
        writer.Write(item.WindowStart.Ticks);
        writer.Write(item.Origin);
        writer.Write(item.Count);
        writer.Write(item.SumDelay);
        writer.Write(item.MaxDelay);
        writer.Write(item.MeanDelay);
    }

    /// <inheritdoc/>
    public DelayWindow Read(BinaryReader reader) => new(
        new DateTime(reader.ReadInt64(), DateTimeKind.Utc), string.Intern(reader.ReadString()), reader.ReadInt64(), reader.ReadInt64(), reader.ReadInt32(), reader.ReadDouble());
}
