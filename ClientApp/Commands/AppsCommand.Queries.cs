using System.CommandLine;
using System.Globalization;
using OrleansStreams.ClientApp.Server;

namespace OrleansStreams.ClientApp.Commands;

/// <summary>What is asked of an application: its topology and its state.</summary>
internal static partial class AppsCommand
{
    private static Command Topology()
    {
        var mermaid = new Option<bool>("--mermaid") { Description = "As a Mermaid flow chart, to paste into Markdown." };
        var command = new Command("topology", "Prints an application's topology, with the topics that it really uses.") { App, mermaid };
        command.OnRun(async (session, cancellation) =>
        {
            var answer = await session.Server.GetAsync(StreamsServer.Path("apps", session.Get(App), "topology"), cancellation);
            if (session.Json)
            {
                session.Terminal.WriteJson(answer);
            }
            else
            {
                session.Terminal.WriteLine(answer.Text(session.Get(mermaid) ? "mermaid" : "text").TrimEnd('\n'));
            }

            return CommandRunner.Fine;
        });
        return command;
    }

    private static Command Query()
    {
        var store = new Option<string>("--store") { Description = "The state store.", Required = true };
        var key = new Option<string>("--key") { Description = "The key; without it rows of all keys are shown, by key." };
        var fromKey = new Option<string>("--from-key") { Description = "The first key wanted.", HelpName = "KEY" };
        var toKey = new Option<string>("--to-key") { Description = "The first key not wanted.", HelpName = "KEY" };
        var keyEncoding = new Option<string>("--key-encoding") { Description = "How keys are written: utf8 (the default), base64, int32 or int64.", HelpName = "NAME" };
        var from = new Option<string>("--from") { Description = "The first window start wanted: ISO 8601 or ms since 1970.", HelpName = "TIME" };
        var to = new Option<string>("--to") { Description = "The first window start not wanted: ISO 8601 or ms since 1970.", HelpName = "TIME" };
        var limit = new Option<int?>("--limit") { Description = "The most entries to show.", HelpName = "N" };
        var continuation = new Option<string>("--continuation") { Description = "Where the page before ended, as it said.", HelpName = "TEXT" };
        var atLeast = new Option<string[]>("--at-least") { Description = "A record that the answer must reflect. May stand several times.", HelpName = "TOPIC:PARTITION:OFFSET" };
        var wait = new Option<int?>("--wait-ms") { Description = "How long to wait for it; 10,000 when absent.", HelpName = "MS" };
        var command = new Command("query", "Reads an application's committed state by key, by ranges of keys, and by window.")
        {
            App, store, key, fromKey, toKey, keyEncoding, from, to, limit, continuation, atLeast, wait,
        };
        command.OnRun(async (session, cancellation) =>
        {
            var byKey = session.Get(key) is not null;
            if (byKey && (session.Get(fromKey) ?? session.Get(toKey)) is not null)
            {
                throw CommandFailedException.Usage("--key reads one key; give it without --from-key and --to-key.");
            }

            var query = StreamsServer.Query([
                ("key", session.Get(key)),
                ("fromKey", session.Get(fromKey)),
                ("toKey", session.Get(toKey)),
                ("keyEncoding", session.Get(keyEncoding)),
                ("from", session.Get(from)),
                ("to", session.Get(to)),
                ("limit", session.Get(limit)?.ToString(CultureInfo.InvariantCulture)),
                ("continuation", session.Get(continuation)),
                ("waitMs", session.Get(wait)?.ToString(CultureInfo.InvariantCulture)),
                .. (session.Get(atLeast) ?? []).Select(record => ("atLeast", (string?)record)),
            ]);
            var path = StreamsServer.Path("apps", session.Get(App), "stores", session.Get(store)!);
            var answer = await session.Server.GetAsync((byKey ? path : path + "/rows") + query, cancellation);
            if (session.Json)
            {
                session.Terminal.WriteJson(answer);
            }
            else if (byKey)
            {
                session.Terminal.WriteTable(["WINDOW START", "WINDOW END", "VALUE", "FINAL"], [.. answer.Items("entries").Select(Cells)]);
                session.Terminal.WriteLine($"of '{answer.Text("app")}', watermark {answer.Text("watermark")}, commit {answer.Text("commit")}");
            }
            else
            {
                session.Terminal.WriteTable(["KEY", "WINDOW START", "WINDOW END", "VALUE", "FINAL"], [.. answer.Items("rows").Select(row => (string[])[row.Text("key"), .. Cells(row)])]);
                foreach (var partition in answer.Items("partitions"))
                {
                    session.Terminal.WriteLine($"of '{answer.Text("app")}', partition {partition.Text("partition")}: watermark {partition.Text("watermark")}, commit {partition.Text("commit")}");
                }
            }

            if (!session.Json && answer.Text("continuation") is var next and not JsonReading.Nothing)
            {
                session.Terminal.WriteLine($"more: --continuation {next}");
            }

            return CommandRunner.Fine;
        });
        return command;
    }

    private static string[] Cells(System.Text.Json.JsonElement entry) =>
        [entry.Text("windowStart"), entry.Text("windowEnd"), entry.Text("value"), entry.GetProperty("isFinal").GetBoolean() ? "yes" : "no"];
}
