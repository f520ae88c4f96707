using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using OrleansStreams.Errors;

namespace OrleansStreams.Silo.Samples;

/// <summary>What an arrivals file was made from.</summary>
/// <param name="Sha256">The input's SHA-256, hexadecimal.</param>
/// <param name="Rows">Its rows.</param>
public sealed record ArrivalInput(string Sha256, long Rows);

/// <summary>
/// Puts an input file's flights in arrival order (scheduled time + delay; ties by row) into a file of lines, which the file source task then reads.
/// The order is a function of the input alone, so a position in the sorted file means the same after every restart. The file appears whole or not at all.
/// </summary>
public static class ArrivalOrder
{
    private const string ArrivalsFile = "arrivals.csv";
    private const string InputFile = "input.json";
    private const string Unfinished = ".tmp";

    /// <summary>The path of the arrivals file inside <paramref name="folder"/>.</summary>
    public static string FileIn(string folder) => Path.Combine(folder, ArrivalsFile);

    /// <summary>Whether a file or folder of this name in the sample's folder is the sample's own: the arrivals, their description, and sorts under way.</summary>
    public static bool IsPartOfSample(string name) =>
        name is ArrivalsFile or InputFile or ArrivalsFile + Unfinished or InputFile + Unfinished or "sort" or "results" or "verify";

    /// <summary>Makes the arrivals file of <paramref name="input"/> in <paramref name="folder"/>, or finds it there already.</summary>
    /// <exception cref="StreamsException">InvalidInput: a wrong row, or the folder holds the arrivals of another input.</exception>
    public static ArrivalInput Prepare(string input, string folder, CancellationToken cancellationToken = default)
    {
        var described = Path.Combine(folder, InputFile);
        var sha256 = HashOf(input);
        if (File.Exists(described))
        {
            var known = JsonSerializer.Deserialize<ArrivalInput>(File.ReadAllText(described))!;
            return known.Sha256 == sha256
                ? known
                : throw new StreamsException(StreamsErrorCode.InvalidInput, $"the data folder holds a run of another input than {input}; name another folder with --data, or start this one again with --fresh");
        }

        Directory.CreateDirectory(folder);
        var rows = Sort(input, folder, cancellationToken);
        var made = new ArrivalInput(sha256, rows);
        WriteWhole(described, file => JsonSerializer.Serialize(file, made));
        return made;
    }

    /// <summary>Writes a file so that it is there whole and flushed, or not at all.</summary>
    public static void WriteWhole(string path, Action<Stream> write)
    {
        var unfinished = path + Unfinished;
        using (var file = new FileStream(unfinished, FileMode.Create, FileAccess.Write, FileShare.None, 256 * 1024))
        {
            write(file);
            file.Flush(flushToDisk: true);
        }

        File.Move(unfinished, path, overwrite: true);
    }

    private static long Sort(string input, string folder, CancellationToken cancellationToken)
    {
        using var sort = new ExternalSort<(Flight Flight, long Row)>(new Format(), Path.Combine(folder, "sort"));
        foreach (var flight in FlightFile.Read(input))
        {
            cancellationToken.ThrowIfCancellationRequested();
            sort.Add((flight, sort.Count));
        }

        WriteWhole(FileIn(folder), file =>
        {
            var line = new StringBuilder();
            foreach (var (flight, _) in sort.Sorted())
            {
                line.Clear();
                flight.WriteLine(line);
                file.Write(Encoding.UTF8.GetBytes(line.ToString()));
            }
        });
        return sort.Count;
    }

    private static string HashOf(string input)
    {
        try
        {
            using var file = File.OpenRead(input);
            return Convert.ToHexStringLower(SHA256.HashData(file));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new StreamsException(StreamsErrorCode.InvalidInput, $"cannot read the input file {input}: {error.Message}", inner: error);
        }
    }

    private sealed class Format : ISortFormat<(Flight Flight, long Row)>
    {
        public int Compare((Flight Flight, long Row) x, (Flight Flight, long Row) y)
        {
            var byArrival = x.Flight.Arrival.CompareTo(y.Flight.Arrival);
            return byArrival != 0 ? byArrival : x.Row.CompareTo(y.Row);
        }

        public void Write(BinaryWriter writer, (Flight Flight, long Row) item)
        {
            writer.Write(item.Row);
            writer.Write(item.Flight.Scheduled);
            writer.Write(item.Flight.Delay);
            writer.Write(item.Flight.Distance);
            writer.Write(item.Flight.Origin);
            writer.Write(item.Flight.Destination);
        }

        public (Flight Flight, long Row) Read(BinaryReader reader)
        {
            var row = reader.ReadInt64();
            return (new Flight(reader.ReadInt64(), reader.ReadInt32(), reader.ReadInt32(), string.Intern(reader.ReadString()), string.Intern(reader.ReadString())), row);
        }
    }
}
