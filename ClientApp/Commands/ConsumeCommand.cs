using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using OrleansStreams.ClientApp.Records;
using OrleansStreams.ClientApp.Server;

namespace OrleansStreams.ClientApp.Commands;

/// <summary>consume TOPIC: prints records, alone or as a member of a group.</summary>
internal static class ConsumeCommand
{
    /// <summary>A member that is given no partition in so many answers, and doesn't follow, has nothing to do.</summary>
    private const int EmptyAnswersMax = 3;

    private static readonly TimeSpan LongWait = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan DescribeInterval = TimeSpan.FromSeconds(5);

    private static readonly Argument<string> Topic = new("topic") { Description = "The topic's name." };
    private static readonly Option<bool> FromBeginning = new("--from-beginning") { Description = "Begins at the start of the log; the same as --offset earliest." };

    private static readonly Option<string> Offset = new("--offset")
    {
        Description = "Where to begin: earliest, latest, timestamp:T (ms since 1970 or ISO 8601), or a number (with --partition). "
            + "Without it: new records only; in a group what the group has not committed, from the start where it has committed nothing.",
        HelpName = "OFFSET",
    };

    private static readonly Option<int?> Partition = new("--partition") { Description = "Only this partition.", HelpName = "N" };
    private static readonly Option<string> Group = new("--group") { Description = "Reads as a member of this group and commits what was printed.", HelpName = "ID" };
    private static readonly Option<bool> Follow = new("--follow", "-f") { Description = "Goes on at the end and prints what comes; Ctrl-C ends." };
    private static readonly Option<long?> Max = new("--max") { Description = "Ends after so many records.", HelpName = "N" };

    private static readonly Option<string> Separator = new("--separator")
    {
        Description = "What is printed between key and value.",
        HelpName = "TEXT",
        DefaultValueFactory = _ => ":",
    };

    public static Command Create()
    {
        var command = new Command("consume", "Prints records as key:value lines, or with --json as JSON lines that produce --json takes.")
        {
            SharedOptions.All, Topic, FromBeginning, Offset, Partition, Group, Follow, Max, Separator,
        };
        command.OnRun(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(CommandSession session, CancellationToken cancellation)
    {
        var offset = OffsetOf(session);
        var group = session.Get(Group);

        // New records only come while one waits for them.
        var follow = session.Get(Follow) || (group is null && offset is null or "latest");
        if (session.Get(Max) is <= 0)
        {
            throw CommandFailedException.Usage("--max must be 1 or more.");
        }

        var topic = session.Get(Topic);
        var description = await session.Server.GetAsync(StreamsServer.Path("topics", topic), cancellation);
        if (follow && session.Terminal.IsInteractive)
        {
            session.Terminal.Note($"following '{topic}'; Ctrl-C ends");
        }

        try
        {
            await using var feed = new RecordFeed(session.Server, topic, follow);
            await (group is null
                ? ReadAloneAsync(session, description, feed, offset ?? "latest", follow, cancellation)
                : ReadInGroupAsync(session, feed, new GroupMembership(session.Server, group, topic, feed, offset ?? "earliest", follow), follow, cancellation));
            return CommandRunner.Fine;
        }
        catch (OperationCanceledException) when (follow && cancellation.IsCancellationRequested)
        {
            // The way to end what has no end.
            return CommandRunner.Fine;
        }
    }

    private static string? OffsetOf(CommandSession session)
    {
        var offset = session.Get(Offset);
        if (session.Get(FromBeginning))
        {
            offset = offset is null ? "earliest" : throw CommandFailedException.Usage("--from-beginning and --offset contradict each other; give one of them.");
        }

        if (session.Get(Group) is not null && session.Get(Partition) is not null)
        {
            throw CommandFailedException.Usage("--group and --partition contradict each other; a group assigns the partitions.");
        }

        if (offset is null or "earliest" or "latest" || offset.StartsWith("timestamp:", StringComparison.Ordinal))
        {
            return offset;
        }

        if (!long.TryParse(offset, NumberStyles.None, CultureInfo.InvariantCulture, out _))
        {
            throw CommandFailedException.Usage($"--offset {offset}: give earliest, latest, timestamp:T or a number from 0 on.");
        }

        return session.Get(Partition) is not null
            ? offset
            : throw CommandFailedException.Usage("--offset with a number needs --partition N; offsets of different partitions have nothing in common.");
    }

    private static async Task ReadAloneAsync(
        CommandSession session, JsonElement description, RecordFeed feed, string offset, bool follow, CancellationToken cancellation)
    {
        var printer = new RecordPrinter(session.Terminal, session.Json, session.Get(Separator)!, session.Get(Max));
        var wanted = session.Get(Partition);
        var ends = description.Items("partitions").Where(partition => wanted is null || partition.Long("partition") == wanted)
            .ToDictionary(partition => (int)partition.Long("partition"), partition => partition.Long("highWatermark"));
        if (ends.Count == 0)
        {
            throw new CommandFailedException($"topic '{description.Text("name")}' has no partition {wanted}; its partitions are 0 to {description.Items("partitions").Count() - 1}.");
        }

        foreach (var partition in ends.Keys.Order())
        {
            feed.Add(partition, offset);
        }

        var sinceDescribed = Stopwatch.StartNew();
        while (ends.Count > 0 && !printer.IsDone)
        {
            if (follow && wanted is null && sinceDescribed.Elapsed >= DescribeInterval)
            {
                await AddNewPartitionsAsync(session.Server, description, ends, feed, cancellation);
                sinceDescribed.Restart();
            }

            if (await feed.NextAsync(follow ? DescribeInterval : LongWait, cancellation) is not { } page)
            {
                continue;
            }

            printer.Print(page);
            if (!follow && (page.NextOffset >= ends[page.Partition] || page.Records.Length == 0))
            {
                ends.Remove(page.Partition);
                await feed.RemoveAsync(page.Partition);
            }
        }
    }

    /// <summary>Takes in partitions that the topic has got meanwhile, from their start: all that they hold came after this command began.</summary>
    private static async Task AddNewPartitionsAsync(StreamsServer server, JsonElement begun, Dictionary<int, long> ends, RecordFeed feed, CancellationToken cancellation)
    {
        JsonElement now;
        try
        {
            now = await server.GetAsync(StreamsServer.Path("topics", begun.Text("name")), cancellation);
        }
        catch (ServerException exception) when (exception.IsRetriable)
        {
            // The next time will do; whether the server is gone for good, the feed finds out.
            return;
        }

        if (now.Text("topicId") != begun.Text("topicId"))
        {
            throw new CommandFailedException($"topic '{begun.Text("name")}' was deleted and made anew; start again to read the new one.");
        }

        foreach (var partition in now.Items("partitions").Select(partition => (int)partition.Long("partition")).Where(partition => !ends.ContainsKey(partition)).Order())
        {
            ends.Add(partition, 0);
            feed.Add(partition, "earliest");
        }
    }

    private static async Task ReadInGroupAsync(CommandSession session, RecordFeed feed, GroupMembership membership, bool follow, CancellationToken cancellation)
    {
        var printer = new RecordPrinter(session.Terminal, session.Json, session.Get(Separator)!, session.Get(Max));
        var atEnd = new HashSet<int>();
        try
        {
            while (!printer.IsDone)
            {
                await membership.KeepUpAsync(cancellation);
                if (!follow && (membership.Owned.Count > 0 ? membership.Owned.All(atEnd.Contains) : membership.EmptyAnswers >= EmptyAnswersMax))
                {
                    return;
                }

                var wait = membership.Patience < TimeSpan.FromSeconds(1) ? membership.Patience : TimeSpan.FromSeconds(1);
                if (await feed.NextAsync(wait, cancellation) is not { } page)
                {
                    continue;
                }

                var next = printer.Print(page);
                membership.Advance(page.Partition, next);
                if (page.NextOffset >= page.HighWatermark)
                {
                    atEnd.Add(page.Partition);
                }
            }
        }
        finally
        {
            await membership.LeaveAsync();
        }
    }
}
