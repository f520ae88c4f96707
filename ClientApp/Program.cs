using System.CommandLine;

var root = new RootCommand("Orleans.Streams: topics, records, groups and stream applications from the command line.");
return await root.Parse(args).InvokeAsync();
