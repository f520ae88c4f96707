using System.CommandLine;
using System.Globalization;
using OrleansStreams.ClientApp.Server;

namespace OrleansStreams.ClientApp.Commands;

/// <summary>groups list | describe | reset.</summary>
internal static class GroupsCommand
{
    private static readonly Argument<string> Group = new("group") { Description = "The group's id." };

    public static Command Create() => new("groups", "Lists and describes consumer groups, resets their offsets.")
    {
        SharedOptions.All,
        List(),
        Describe(),
        Reset(),
    };

    private static Command List()
    {
        var command = new Command("list", "Lists the groups.");
        command.OnRun(async (session, cancellation) =>
        {
            var answer = await session.Server.GetAsync("groups", cancellation);
            if (session.Json)
            {
                session.Terminal.WriteJson(answer);
            }
            else
            {
                session.Terminal.WriteTable(
                    ["GROUP", "STATE", "MEMBERS"],
                    [.. answer.Items("groups").Select(group => new[] { group.Text("group"), group.Text("state"), group.Text("members") })],
                    2);
            }

            return CommandRunner.Fine;
        });
        return command;
    }

    private static Command Describe()
    {
        var command = new Command("describe", "Shows a group's members, committed offsets and lag.") { Group };
        command.OnRun(async (session, cancellation) =>
        {
            var group = await session.Server.GetAsync(StreamsServer.Path("groups", session.Get(Group)), cancellation);
            if (session.Json)
            {
                session.Terminal.WriteJson(group);
                return CommandRunner.Fine;
            }

            session.Terminal.WriteLine(
                $"group '{group.Text("group")}': {group.Text("state")}, {group.Items("members").Count()} member(s), generation {group.Text("generation")}, lag {group.Text("totalLag")}");
            session.Terminal.WriteTable(
                ["TOPIC", "PARTITION", "COMMITTED", "HIGH WATERMARK", "LAG", "MEMBER"],
                [.. group.Items("offsets").Select(offset => new[]
                {
                    offset.Text("topic"), offset.Text("partition"), offset.Text("committedOffset"), offset.Text("highWatermark"), offset.Text("lag"), offset.Text("memberId"),
                })],
                1, 2, 3, 4);
            return CommandRunner.Fine;
        });
        return command;
    }

    private static Command Reset()
    {
        var topic = new Option<string>("--topic") { Description = "The topic whose offsets are set.", Required = true };
        var partition = new Option<int?>("--partition") { Description = "Only this partition.", HelpName = "N" };
        var to = new Option<string>("--to") { Description = "earliest, latest, an offset (with --partition) or timestamp:T, T in ms since 1970 or ISO 8601.", Required = true };
        var command = new Command("reset", "Sets a group's committed offsets; the group must have no members.") { Group, topic, partition, to };
        command.OnRun(async (session, cancellation) =>
        {
            var body = Body(session.Get(topic)!, session.Get(partition), session.Get(to)!);
            var answer = await session.Server.PostAsync(StreamsServer.Path("groups", session.Get(Group), "reset"), body, cancellation);
            if (session.Json)
            {
                session.Terminal.WriteJson(answer);
            }
            else
            {
                session.Terminal.WriteTable(
                    ["TOPIC", "PARTITION", "COMMITTED"],
                    [.. answer.Items("offsets").Select(offset => new[] { offset.Text("topic"), offset.Text("partition"), offset.Text("offset") })],
                    1, 2);
            }

            return CommandRunner.Fine;
        });
        return command;
    }

    private static Dictionary<string, object> Body(string topic, int? partition, string to)
    {
        var body = new Dictionary<string, object> { ["topic"] = topic };
        if (partition is { } number)
        {
            body["partition"] = number;
        }

        const string timestamp = "timestamp:";
        if (to is "earliest" or "latest")
        {
            body["to"] = to;
        }
        else if (to.StartsWith(timestamp, StringComparison.Ordinal))
        {
            body["to"] = "timestamp";
            body["timestamp"] = to[timestamp.Length..];
        }
        else if (!long.TryParse(to, NumberStyles.None, CultureInfo.InvariantCulture, out var offset))
        {
            throw CommandFailedException.Usage($"--to {to}: give earliest, latest, an offset from 0 on or timestamp:T.");
        }
        else if (partition is null)
        {
            throw CommandFailedException.Usage("--to OFFSET needs --partition N; offsets of different partitions have nothing in common.");
        }
        else
        {
            body["to"] = "offset";
            body["offset"] = offset;
        }

        return body;
    }
}
