using System.CommandLine;
using OrleansStreams.ClientApp.Server;

namespace OrleansStreams.ClientApp.Commands;

/// <summary>topics create | list | describe | alter | delete.</summary>
internal static class TopicsCommand
{
    private static readonly Argument<string> Topic = new("topic") { Description = "The topic's name." };

    private static readonly Option<string[]> Config = new("--config")
    {
        Description = "A configuration value under Kafka's name, for example retention.ms=86400000 or cleanup.policy=compact. May stand several times.",
        HelpName = "NAME=VALUE",
    };

    public static Command Create() => new("topics", "Creates, lists, describes, changes and deletes topics.")
    {
        SharedOptions.All,
        CreateTopic(),
        List(),
        Describe(),
        Alter(),
        Delete(),
    };

    private static Command CreateTopic()
    {
        var partitions = new Option<int>("--partitions", "-p") { Description = "The number of partitions.", HelpName = "N", DefaultValueFactory = _ => 1 };
        var command = new Command("create", "Creates a topic.") { Topic, partitions, Config };
        command.OnRun(async (session, cancellation) =>
        {
            var topic = await session.Server.PostAsync(
                "topics",
                new { name = session.Get(Topic), partitions = session.Get(partitions), config = SharedOptions.Pairs("--config", session.Get(Config)) },
                cancellation);
            if (session.Json)
            {
                session.Terminal.WriteJson(topic);
            }
            else
            {
                session.Terminal.WriteLine($"created topic '{topic.Text("name")}' with {topic.Items("partitions").Count()} partition(s)");
            }

            return CommandRunner.Fine;
        });
        return command;
    }

    private static Command List()
    {
        var command = new Command("list", "Lists the topics.");
        command.OnRun(async (session, cancellation) =>
        {
            var answer = await session.Server.GetAsync("topics", cancellation);
            if (session.Json)
            {
                session.Terminal.WriteJson(answer);
            }
            else
            {
                session.Terminal.WriteTable(["TOPIC", "PARTITIONS"], [.. answer.Items("topics").Select(topic => new[] { topic.Text("name"), topic.Text("partitions") })], 1);
            }

            return CommandRunner.Fine;
        });
        return command;
    }

    private static Command Describe()
    {
        var command = new Command("describe", "Shows a topic's configuration and its partitions' offsets.") { Topic };
        command.OnRun(async (session, cancellation) =>
        {
            var topic = await session.Server.GetAsync(StreamsServer.Path("topics", session.Get(Topic)), cancellation);
            if (session.Json)
            {
                session.Terminal.WriteJson(topic);
                return CommandRunner.Fine;
            }

            session.Terminal.WriteLine($"topic '{topic.Text("name")}'");
            foreach (var setting in topic.GetProperty("config").EnumerateObject())
            {
                session.Terminal.WriteLine($"  {setting.Name} = {setting.Value}");
            }

            session.Terminal.WriteTable(
                ["PARTITION", "LOG START", "HIGH WATERMARK", "BYTES", "LEADER EPOCH"],
                [.. topic.Items("partitions").Select(partition => new[]
                {
                    partition.Text("partition"), partition.Text("logStartOffset"), partition.Text("highWatermark"), partition.Text("sizeBytes"), partition.Text("leaderEpoch"),
                })],
                0, 1, 2, 3, 4);
            return CommandRunner.Fine;
        });
        return command;
    }

    private static Command Alter()
    {
        var partitions = new Option<int?>("--partitions", "-p") { Description = "The new number of partitions, more than now.", HelpName = "N" };
        var command = new Command("alter", "Changes a topic's configuration, raises its number of partitions, or both.") { Topic, partitions, Config };
        command.OnRun(async (session, cancellation) =>
        {
            var config = SharedOptions.Pairs("--config", session.Get(Config));
            if (session.Get(partitions) is null && config.Count == 0)
            {
                throw CommandFailedException.Usage("nothing to change; give --config NAME=VALUE, --partitions N or both.");
            }

            var topic = await session.Server.PatchAsync(
                StreamsServer.Path("topics", session.Get(Topic)), new { partitions = session.Get(partitions), config = config.Count == 0 ? null : config }, cancellation);
            if (session.Json)
            {
                session.Terminal.WriteJson(topic);
            }
            else
            {
                session.Terminal.WriteLine($"changed topic '{topic.Text("name")}'");
            }

            return CommandRunner.Fine;
        });
        return command;
    }

    private static Command Delete()
    {
        var command = new Command("delete", "Deletes a topic and its records.") { Topic };
        command.OnRun(async (session, cancellation) =>
        {
            var topic = session.Get(Topic);
            await session.Server.DeleteAsync(StreamsServer.Path("topics", topic), cancellation);
            if (session.Json)
            {
                session.Terminal.WriteJson(new { deleted = topic });
            }
            else
            {
                session.Terminal.WriteLine($"deleted topic '{topic}'");
            }

            return CommandRunner.Fine;
        });
        return command;
    }
}
