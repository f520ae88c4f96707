using System.CommandLine;
using OrleansStreams.ClientApp.Output;
using OrleansStreams.ClientApp.Server;

namespace OrleansStreams.ClientApp.Commands;

/// <summary>What a running command has at hand.</summary>
internal sealed record CommandSession(ParseResult Arguments, StreamsServer Server, Terminal Terminal, bool Json)
{
    public T? Get<T>(Option<T> option) => Arguments.GetValue(option);

    public T Get<T>(Argument<T> argument) => Arguments.GetRequiredValue(argument);
}
