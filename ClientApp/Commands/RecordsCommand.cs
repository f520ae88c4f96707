using System.CommandLine;
using System.Globalization;
using OrleansStreams.ClientApp.Server;

namespace OrleansStreams.ClientApp.Commands;

/// <summary>records delete: takes a partition's oldest records away.</summary>
internal static class RecordsCommand
{
    public static Command Create() => new("records", "Deletes old records.")
    {
        SharedOptions.All,
        Delete(),
    };

    private static Command Delete()
    {
        var topic = new Argument<string>("topic") { Description = "The topic's name." };
        var partition = new Option<int>("--partition") { Description = "The partition.", HelpName = "N", Required = true };
        var before = new Option<string>("--before") { Description = "The first offset to keep, or latest to delete all records.", HelpName = "OFFSET", Required = true };
        var command = new Command("delete", "Deletes a partition's records below an offset, for good.") { topic, partition, before };
        command.OnRun(async (session, cancellation) =>
        {
            var number = session.Get(partition).ToString(CultureInfo.InvariantCulture);
            var answer = await session.Server.DeleteAsync(
                StreamsServer.Path("topics", session.Get(topic)!, "partitions", number, "records") + StreamsServer.Query(("before", session.Get(before))), cancellation);
            if (session.Json)
            {
                session.Terminal.WriteJson(answer);
            }
            else
            {
                session.Terminal.WriteLine($"'{session.Get(topic)}' partition {number} begins at offset {answer.Text("logStartOffset")} now");
            }

            return CommandRunner.Fine;
        });
        return command;
    }
}
