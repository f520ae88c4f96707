using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using OrleansStreams.ClientApp.Server;

namespace OrleansStreams.ClientApp.Commands;

/// <summary>Comparing two results: one store, or all that both applications have.</summary>
internal static partial class AppsCommand
{
    private const int DifferencesAbsent = 1_000;

    private static Command Reconcile()
    {
        var first = new Argument<string>("first") { Description = "An application or an alias." };
        var second = new Argument<string>("second") { Description = "The application or alias to compare it with." };
        var store = new Option<string>("--store") { Description = "The store; all stores of results that both have when absent." };
        var withStore = new Option<string>("--with-store") { Description = "The second one's store; of the same name when absent.", HelpName = "STORE" };
        var from = new Option<string>("--from") { Description = "The first window start to compare: ISO 8601 or ms since 1970.", HelpName = "TIME" };
        var to = new Option<string>("--to") { Description = "The first window start not to compare.", HelpName = "TIME" };
        var limit = new Option<int?>("--limit") { Description = "The most differences of a store to show; 1,000 when absent. All are counted.", HelpName = "N" };
        var command = new Command("reconcile", "Compares two results key by key, window by window; exit code 1 when they differ, or when there is nothing to compare.")
        {
            first, second, store, withStore, from, to, limit,
        };
        command.OnRun(async (session, cancellation) =>
        {
            if (session.Get(store) is null && session.Get(withStore) is not null)
            {
                throw CommandFailedException.Usage("--with-store names the second one's store; give --store, the first one's, too.");
            }

            var (x, y) = (session.Get(first)!, session.Get(second)!);
            var stores = session.Get(store) is { } only ? [only] : await SharedStoresAsync(session, x, y, cancellation);
            var found = new List<StoreComparison>();
            foreach (var name in stores)
            {
                found.Add(await CompareAsync(
                    session, x, name, [("with", y), ("withStore", session.Get(withStore)), ("from", session.Get(from)), ("to", session.Get(to))], session.Get(limit) ?? DifferencesAbsent, cancellation));
            }

            var notes = new List<string>();
            foreach (var app in (string[])[x, y])
            {
                notes.AddRange(await LagAsync(session, app, cancellation));
            }

            if (found.Sum(comparison => comparison.Rows) == 0)
            {
                notes.Add($"there was nothing to compare: neither '{x}' nor '{y}' has a row{((session.Get(from) ?? session.Get(to)) is null ? string.Empty : " in that range")}");
            }

            Show(session, x, y, found, notes);
            return found.All(comparison => comparison.AreEqual) && found.Sum(comparison => comparison.Rows) > 0 ? CommandRunner.Fine : CommandRunner.Failed;
        });
        return command;
    }

    private static async Task<IReadOnlyList<string>> SharedStoresAsync(CommandSession session, string first, string second, CancellationToken cancellation)
    {
        var stores = new List<string[]>();
        foreach (var app in (string[])[first, second])
        {
            var topology = await session.Server.GetAsync(StreamsServer.Path("apps", app, "topology"), cancellation);
            stores.Add([.. topology.Items("stores").Select(store => store.GetString()!)]);
        }

        var shared = stores[0].Intersect(stores[1], StringComparer.Ordinal).ToArray();
        return shared.Length > 0
            ? shared
            : throw new CommandFailedException($"'{first}' and '{second}' have no store of the same name ({string.Join(", ", stores[0])}; {string.Join(", ", stores[1])}); name one of each with --store and --with-store.");
    }

    /// <summary>Compares a part at a time, so that no answer is waited for for long.</summary>
    private static async Task<StoreComparison> CompareAsync(
        CommandSession session, string app, string store, IReadOnlyList<(string Name, string? Value)> query, int limit, CancellationToken cancellation)
    {
        var found = new StoreComparison(store);
        string? continuation = null;
        do
        {
            // All are counted by the server, which has to list one at least.
            var left = found.Differences.Count == 0 ? limit : Math.Max(1, limit - found.Differences.Count);
            var path = StreamsServer.Path("apps", app, "stores", store, "differences") + StreamsServer.Query([.. query, ("limit", left.ToString(CultureInfo.InvariantCulture)), ("continuation", continuation)]);
            var answer = await session.Server.GetAsync(path, cancellation);
            found.Add(answer, limit);
            continuation = answer.Text("continuation") is var next and not JsonReading.Nothing ? next : null;
        }
        while (continuation is not null);

        return found;
    }

    /// <summary>A note on an application that has not read all that is there for it.</summary>
    private static async Task<IEnumerable<string>> LagAsync(CommandSession session, string app, CancellationToken cancellation)
    {
        var status = await session.Server.GetAsync(StreamsServer.Path("apps", app), cancellation);
        var behind = status.Items("tasks").Where(task => task.Text("state") != "Completed" && task.Text("lag") is not (JsonReading.Nothing or "0")).Sum(task => task.Long("lag"));
        return behind > 0 ? [$"'{app}' is {behind} records behind what it reads: compare again when it has caught up"] : [];
    }

    private static void Show(CommandSession session, string first, string second, List<StoreComparison> found, List<string> notes)
    {
        if (session.Json)
        {
            session.Terminal.WriteJson(JsonSerializer.SerializeToElement(
                new { stores = found.Select(one => new { store = one.Store, equal = one.Equal, different = one.Different, onlyInFirst = one.OnlyInFirst, onlyInSecond = one.OnlyInSecond, differences = one.Differences }), notes },
                JsonSerializerOptions.Web));
            return;
        }

        foreach (var one in found)
        {
            session.Terminal.WriteLine($"{one.Store}: {one.Equal} equal, {one.Different} different, {one.OnlyInFirst} only in {first}, {one.OnlyInSecond} only in {second}");
            var rows = one.Differences
                .Select(row => new[] { row.Text("key"), row.Text("windowStart"), row.Text("windowEnd"), row.Text("kind"), row.Text("first"), row.Text("second") }).ToArray();
            if (rows.Length > 0)
            {
                session.Terminal.WriteTable(["KEY", "WINDOW START", "WINDOW END", "DIFFERENCE", "FIRST", "SECOND"], rows);
            }
        }

        notes.ForEach(note => session.Terminal.WriteLine($"note: {note}"));
    }

    /// <summary>What the parts of a comparison come to.</summary>
    private sealed class StoreComparison(string store)
    {
        public string Store => store;

        public long Equal { get; private set; }

        public long Different { get; private set; }

        public long OnlyInFirst { get; private set; }

        public long OnlyInSecond { get; private set; }

        public List<JsonElement> Differences { get; } = [];

        public long Rows => Equal + Different + OnlyInFirst + OnlyInSecond;

        public bool AreEqual => Rows == Equal;

        public void Add(JsonElement answer, int limit)
        {
            Equal += answer.Long("equal");
            Different += answer.Long("different");
            OnlyInFirst += answer.Long("onlyInFirst");
            OnlyInSecond += answer.Long("onlyInSecond");
            Differences.AddRange(answer.Items("differences").Take(limit - Differences.Count));
        }
    }
}
