using System.CommandLine;
using System.Globalization;
using OrleansStreams.Records;
using OrleansStreams.Storage.Files.Inspection;

namespace OrleansStreams.ClientApp.Commands;

/// <summary>log dump | verify: looks at the logs of a data folder that no server uses, and changes nothing there.</summary>
internal static class LogCommand
{
    private static readonly Argument<string> Folder = new("dir") { Description = "The data folder of a server that is stopped." };

    private static readonly Option<string> Prefix = new("--log")
    {
        Description = "Only logs whose name begins so, for example topics/orders or journals/.",
        HelpName = "PREFIX",
        DefaultValueFactory = _ => string.Empty,
    };

    public static Command Create() => new("log", "Looks at the logs of a data folder, and changes nothing there.")
    {
        SharedOptions.Json,
        Dump(),
        Verify(),
    };

    private static Command Dump()
    {
        var command = new Command("dump", "Lists segments and batches.") { Folder, Prefix };
        command.OnRun((session, cancellation) => InspectAsync(session, true, cancellation));
        return command;
    }

    private static Command Verify()
    {
        var command = new Command("verify", "Checks every batch's CRC, the offsets and the indexes, and says what recovery would cut. Exit code 1 on damage.") { Folder, Prefix };
        command.OnRun((session, cancellation) => InspectAsync(session, false, cancellation));
        return command;
    }

    private static async Task<int> InspectAsync(CommandSession session, bool withBatches, CancellationToken cancellation)
    {
        var folder = session.Get(Folder)!;
        await using var inspector = LogInspector.Open(folder, TimeProvider.System);
        var (logs, damaged) = (0, 0);
        ShowNotes(session, null, "recovery", inspector.Recovery);
        foreach (var id in await inspector.ListAsync(session.Get(Prefix) ?? string.Empty, cancellation))
        {
            if (withBatches && !session.Json)
            {
                session.Terminal.WriteLine($"log {id}");
            }

            var report = await inspector.InspectAsync(id, withBatches ? batch => ShowBatch(session, id.Path, batch) : null, cancellation);
            Show(session, report, withBatches);
            logs++;
            damaged += report.Problems.Count > 0 ? 1 : 0;
        }

        if (session.Json)
        {
            session.Terminal.WriteJson(new { kind = "total", logs, damaged });
        }
        else
        {
            session.Terminal.WriteLine(Text($"{logs} logs, {damaged} damaged"));
        }

        return damaged == 0 ? CommandRunner.Fine : CommandRunner.Failed;
    }

    private static void Show(CommandSession session, LogReport report, bool withSegments)
    {
        var (batches, records, bytes) = (report.Segments.Sum(segment => segment.Batches), report.Segments.Sum(segment => segment.Records), report.Segments.Sum(segment => segment.Bytes));
        if (session.Json)
        {
            session.Terminal.WriteJson(new
            {
                kind = "log", log = report.Id.Path, folder = report.Folder, report.LeaderEpoch, report.StartOffset, report.EndOffset, report.CheckpointOffset,
                batches, records, bytes, segments = report.Segments, report.Recovery, report.Problems,
            });
            return;
        }

        if (withSegments)
        {
            foreach (var segment in report.Segments)
            {
                session.Terminal.WriteLine(Text(
                    $"  segment {segment.BaseOffset}: offsets to {segment.EndOffset}, {segment.Batches} batches, {segment.Records} records, {segment.Bytes} bytes, {segment.IndexEntries} index entries, last timestamp {Time(segment.MaxTimestamp)}"));
            }
        }

        var checkpoint = report.CheckpointOffset is { } at ? Text($", checkpoint at {at}") : string.Empty;
        session.Terminal.WriteLine(
            (withSegments ? "  " : $"{report.Id}: ") +
            Text($"offsets {report.StartOffset} to {report.EndOffset}{checkpoint}, leader epoch {report.LeaderEpoch}, {report.Segments.Count} segments, {batches} batches, {records} records, {bytes} bytes: ") +
            (report.Problems.Count == 0 ? "fine" : "DAMAGED"));
        ShowNotes(session, report.Id.Path, "recovery", report.Recovery);
        ShowNotes(session, report.Id.Path, "damage", report.Problems);
    }

    private static void ShowNotes(CommandSession session, string? log, string kind, IReadOnlyList<string> notes)
    {
        foreach (var note in notes)
        {
            if (!session.Json)
            {
                session.Terminal.WriteLine($"    {(kind == "recovery" ? "the next start would say" : kind)}: {note}");
            }
            else if (log is null)
            {
                session.Terminal.WriteJson(new { kind, text = note });
            }
        }
    }

    private static void ShowBatch(CommandSession session, string log, BatchReport batch)
    {
        var header = batch.Header;
        if (session.Json)
        {
            session.Terminal.WriteJson(new
            {
                kind = "batch", log, segment = batch.SegmentBaseOffset, batch.Position, header.BaseOffset, header.LastOffset, records = header.RecordCount, bytes = header.TotalBytes,
                header.LeaderEpoch, header.ProducerId, header.ProducerEpoch, header.BaseSequence, compression = header.Compression.ToString(), header.IsControl,
                header.BaseTimestamp, header.MaxTimestamp,
            });
            return;
        }

        var producer = header.HasProducer ? Text($", producer {header.ProducerId}/{header.ProducerEpoch} from sequence {header.BaseSequence}") : string.Empty;
        var kind = header.IsControl ? ", control" : header.Compression == CompressionType.None ? string.Empty : Text($", {header.Compression}");
        session.Terminal.WriteLine(Text(
            $"    {batch.SegmentBaseOffset}@{batch.Position}: offsets {header.BaseOffset} to {header.LastOffset}, {header.RecordCount} records, {header.TotalBytes} bytes, leader epoch {header.LeaderEpoch}{producer}{kind}, last timestamp {Time(header.MaxTimestamp)}"));
    }

    private static string Time(long milliseconds) => milliseconds is >= 0 and < 253_402_300_800_000
        ? DateTimeOffset.FromUnixTimeMilliseconds(milliseconds).ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture)
        : milliseconds.ToString(CultureInfo.InvariantCulture);

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
