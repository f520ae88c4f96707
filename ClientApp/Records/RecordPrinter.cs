using System.Globalization;
using System.Text.Json;
using OrleansStreams.ClientApp.Output;

namespace OrleansStreams.ClientApp.Records;

/// <summary>Prints records as they come and counts them.</summary>
internal sealed class RecordPrinter(Terminal terminal, bool json, string separator, long? max)
{
    private long printed;

    /// <summary>Whether as many were printed as were wanted.</summary>
    public bool IsDone => printed >= max;

    /// <summary>Prints a page, flushed; answers the offset after the last record that was printed.</summary>
    public long Print(FetchedPage page)
    {
        var next = page.NextOffset;
        foreach (var record in page.Records)
        {
            var offset = record.GetProperty("offset").GetInt64();
            if (IsDone)
            {
                next = offset;
                break;
            }

            if (json)
            {
                terminal.WriteJson(record);
            }
            else
            {
                terminal.WriteLine(Line(record));
            }

            printed++;
        }

        terminal.Flush();
        return next;
    }

    private string Line(JsonElement record)
    {
        var value = record.GetProperty("value").GetString() ?? string.Empty;
        return record.GetProperty("key").GetString() is { } key ? string.Create(CultureInfo.InvariantCulture, $"{key}{separator}{value}") : value;
    }
}
