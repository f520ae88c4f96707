using System.CommandLine;
using OrleansStreams.ClientApp.Commands;

Command[] commands =
[
    TopicsCommand.Create(),
    ProduceCommand.Create(),
    ConsumeCommand.Create(),
    RecordsCommand.Create(),
    GroupsCommand.Create(),
    AppsCommand.Create(),
    LogCommand.Create(),
    DemoCommand.Create(),
];

var root = new RootCommand("Orleans.Streams: topics, records, groups and stream applications from the command line.");
foreach (var command in commands)
{
    root.Subcommands.Add(command);
}

return await CommandRunner.RunAsync(root, args);
