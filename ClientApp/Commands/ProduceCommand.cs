using System.CommandLine;
using System.Globalization;
using System.Threading.Channels;
using OrleansStreams.ClientApp.Records;

namespace OrleansStreams.ClientApp.Commands;

/// <summary>produce TOPIC: lines from standard input or a file become records.</summary>
internal static class ProduceCommand
{
    private const int LinesAhead = 2_000;

    private static readonly Argument<string> Topic = new("topic") { Description = "The topic's name." };

    private static readonly Option<FileInfo> File = new("--file") { Description = "Reads this file instead of standard input.", HelpName = "FILE" };

    private static readonly Option<string> Separator = new("--separator")
    {
        Description = "What stands between key and value; a line without it is a value without a key.",
        HelpName = "TEXT",
        DefaultValueFactory = _ => ":",
    };

    private static readonly Option<int?> Partition = new("--partition") { Description = "The partition for key:value lines; the key decides when this is absent.", HelpName = "N" };

    private static readonly Option<string> Acks = new("--acks")
    {
        Description = "all: a record counts as written when it is durable; none: when it was received.",
        DefaultValueFactory = _ => "all",
    };

    public static Command Create()
    {
        Acks.AcceptOnlyFromAmong("all", "none");
        var command = new Command(
            "produce",
            "Writes records: key:value lines, or with --json lines such as {\"key\": \"a\", \"value\": \"1\", \"headers\": {\"h\": \"x\"}}; the summary is JSON then, too.")
        {
            SharedOptions.All, Topic, File, Separator, Partition, Acks,
        };
        command.OnRun(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(CommandSession session, CancellationToken cancellation)
    {
        var topic = session.Get(Topic);
        if (string.IsNullOrEmpty(session.Get(Separator)))
        {
            throw CommandFailedException.Usage("--separator is empty; give the text between key and value.");
        }

        await using var input = Open(session);
        if (session.Get(File) is null && !Console.IsInputRedirected)
        {
            session.Terminal.Note($"Type records for '{topic}', one a line{(session.Json ? string.Empty : $", as key{session.Get(Separator)}value")}; Ctrl-D ends.");
        }

        var records = Channel.CreateBounded<OutgoingRecord>(new BoundedChannelOptions(LinesAhead) { SingleReader = true, SingleWriter = true });
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var sender = new RecordSender(session.Server, topic, session.Get(Acks)!);

        // Reading standard input cannot be interrupted everywhere, so nobody waits for the reader when sending has failed.
        var reading = Task.Run(() => ReadAsync(session, input, records.Writer, ending.Token), CancellationToken.None);
        try
        {
            await sender.RunAsync(records.Reader, CancellationToken.None);
        }
        finally
        {
            await ending.CancelAsync();
        }

        if (!cancellation.IsCancellationRequested)
        {
            // A bad line ends here, after what stood before it was sent.
            await AddSentAsync(reading, sender);
        }

        Summarise(session, topic, sender);

        // Ctrl-C is how a person ends typing; an input that was cut off is a failure.
        return cancellation.IsCancellationRequested && Console.IsInputRedirected ? throw new OperationCanceledException(cancellation) : CommandRunner.Fine;
    }

    private static async Task AddSentAsync(Task reading, RecordSender sender)
    {
        try
        {
            await reading;
        }
        catch (CommandFailedException exception)
        {
            throw new CommandFailedException(string.Create(CultureInfo.InvariantCulture, $"{exception.Message} ({sender.Sent} record(s) were written before.)"), exception.ExitCode);
        }
    }

    private static Stream Open(CommandSession session)
    {
        if (session.Get(File) is not { } file)
        {
            return Console.OpenStandardInput();
        }

        return file.Exists ? file.OpenRead() : throw new CommandFailedException($"there is no file {file.FullName}; check --file.");
    }

    private static async Task ReadAsync(CommandSession session, Stream input, ChannelWriter<OutgoingRecord> writer, CancellationToken cancellation)
    {
        var separator = session.Get(Separator)!;
        var partition = session.Get(Partition);
        try
        {
            using var lines = new RecordLines(input);
            using var stopped = cancellation.Register(() => writer.TryComplete());
            while (await lines.ReadAsync(cancellation) is { } line)
            {
                if (session.Json && string.IsNullOrWhiteSpace(line))
                {
                    continue;
                }

                var record = session.Json
                    ? OutgoingRecord.FromJson(lines.LineNumber, line)
                    : OutgoingRecord.FromText(lines.LineNumber, line, separator, partition);
                if (!await writer.WaitToWriteAsync(cancellation) || !writer.TryWrite(record))
                {
                    return;
                }
            }

            writer.TryComplete();
        }
        catch (OperationCanceledException)
        {
            writer.TryComplete();
        }
        catch (Exception exception)
        {
            writer.TryComplete(exception is CommandFailedException ? exception : new CommandFailedException($"the input cannot be read: {exception.Message}"));
            throw;
        }
    }

    private static void Summarise(CommandSession session, string topic, RecordSender sender)
    {
        if (session.Json)
        {
            session.Terminal.WriteJson(new
            {
                topic,
                records = sender.Sent,
                partitions = sender.Partitions.Select(entry => new { partition = entry.Key, records = entry.Value.Records, lastOffset = entry.Value.LastOffset }),
                duplicates = sender.Duplicates,
                originals = sender.Originals.Select(entry => new { line = entry.Line, partition = entry.Partition, offset = entry.Offset, timestamp = entry.Timestamp }),
            });
            return;
        }

        session.Terminal.WriteLine(string.Create(CultureInfo.InvariantCulture, $"wrote {sender.Sent - sender.Duplicates} record(s) to '{topic}'"));
        foreach (var original in sender.Originals)
        {
            session.Terminal.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"line {original.Line} was there before: partition {original.Partition}, offset {original.Offset}"));
        }

        if (sender.Duplicates > sender.Originals.Count)
        {
            session.Terminal.WriteLine(string.Create(CultureInfo.InvariantCulture, $"and {sender.Duplicates - sender.Originals.Count} more"));
        }
    }
}
