using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using OrleansStreams.Clients;
using OrleansStreams.Processing;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Silo.Tests.Http;

/// <summary>Following a store's changes, aliases and comparisons, over HTTP with real applications.</summary>
public sealed class ChangeTests : IAsyncLifetime
{
    private const string App = "words";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private TestSilo silo = null!;

    public async Task InitializeAsync()
    {
        silo = await TestSilo.StartAsync(
            options =>
            {
                options.TailKeepAlive = TimeSpan.FromMilliseconds(200);
                options.SlowClientPatience = TimeSpan.FromMilliseconds(500);
            },
            services => services.AddStreamApplication(App, Describe));
        await silo.PostAsync("/topics", new { name = "words", partitions = 2 }, System.Net.HttpStatusCode.Created);
        await silo.PostAsync($"/apps/{App}/start", new { });
        await UntilAsync(App, status => status.GetProperty("tasks").EnumerateArray().All(task => task.GetProperty("state").GetString() == "Running"));
    }

    public async Task DisposeAsync() => await silo.DisposeAsync();

    [Fact]
    public async Task Rows_come_first_and_then_every_change_until_the_state_is_the_stores()
    {
        await ProduceAsync(Enumerable.Range(0, 40).Select(i => ($"k{i % 20}", "v" + i)));
        await using var stream = await EventStream.OpenAsync(silo, $"/apps/{App}/stores/latest/changes");
        var seen = new View();
        await seen.ReadAsync(stream, view => view.Current == 2);
        seen.Rows.Count.ShouldBe(20);

        await ProduceAsync(Enumerable.Range(0, 10).Select(i => ($"k{i}", "new")).Append(("other", "one")));
        await seen.ReadAsync(stream, view => view.Rows.Values.Count(value => value == "new") == 10 && view.Rows.ContainsKey("other"));
        await ProduceAsync([("k3", null!)]);
        await seen.ReadAsync(stream, view => !view.Rows.ContainsKey("k3"));

        seen.Rows.Count.ShouldBe(20);
        seen.Resets.ShouldBe(2, "once for each partition");
        seen.Rows.ShouldBe(await StoredAsync(), ignoreOrder: true);
    }

    [Fact]
    public async Task Who_comes_back_with_his_last_id_gets_what_he_has_missed_and_nothing_else()
    {
        await ProduceAsync(Enumerable.Range(0, 20).Select(i => ($"k{i}", "v")));
        string? id;
        await using (var stream = await EventStream.OpenAsync(silo, $"/apps/{App}/stores/latest/changes"))
        {
            await new View().ReadAsync(stream, view => view.Current == 2 && view.Rows.Count == 20);
            id = stream.LastEventId;
        }

        await ProduceAsync([("k1", "missed"), ("k1", "twice"), ("k2", "missed")]);
        await using var again = await EventStream.OpenAsync(silo, $"/apps/{App}/stores/latest/changes", id);
        var seen = new View();
        await seen.ReadAsync(again, view => view.Rows.Count == 2 && view.Rows["k1"] == "twice");
        seen.Resets.ShouldBe(0);

        // Another application's id, or one from before a reset, begins anew.
        await using var stranger = await EventStream.OpenAsync(silo, $"/apps/{App}/stores/latest/changes", id!.Replace(App, "other", StringComparison.Ordinal));
        await new View().ReadAsync(stranger, view => view.Resets >= 2 && view.Rows.Count == 20);
        await silo.PostAsync($"/apps/{App}/stop", new { });
        await silo.PostAsync($"/apps/{App}/reset", new { to = "earliest" });
        await silo.PostAsync($"/apps/{App}/start", new { });
        await using var anew = await EventStream.OpenAsync(silo, $"/apps/{App}/stores/latest/changes", id);
        await new View().ReadAsync(anew, view => view.Resets >= 2 && view.Rows.Count == 20 && view.Rows["k1"] == "twice");
    }

    [Fact]
    public async Task One_key_is_followed_alone_also_by_its_windows()
    {
        await using var stream = await EventStream.OpenAsync(silo, $"/apps/{App}/stores/counts/changes?key=a");
        await ProduceAsync([("b", "x"), ("a", "x"), ("b", "x"), ("a", "x")]);
        while (true)
        {
            var (name, data) = (await stream.NextAsync().WaitAsync(Patience)).ShouldNotBeNull();
            if (name == "row")
            {
                data.GetProperty("key").GetString().ShouldBe("a");
                data.GetProperty("windowStart").GetString().ShouldBe("1970-01-01T00:00:00Z");
                if (data.GetProperty("value").GetInt64() == 2)
                {
                    return;
                }
            }
        }
    }

    [Fact]
    public async Task All_windows_of_a_key_come_before_the_stream_is_current_and_a_page_at_a_time_when_they_are_asked_for()
    {
        const int Windows = 2_500;
        await ProduceAsync(Enumerable.Range(0, Windows).Select(_ => ("a", "x")), time => time);
        await using var stream = await EventStream.OpenAsync(silo, $"/apps/{App}/stores/moments/changes?key=a");
        var seen = new HashSet<string>();
        for (var (name, data) = ("", default(JsonElement)); name != "current";)
        {
            (name, data) = (await stream.NextAsync().WaitAsync(Patience)).ShouldNotBeNull();
            if (name == "row")
            {
                seen.Add(data.GetProperty("windowStart").GetString()!);
            }
        }

        seen.Count.ShouldBe(Windows);
        var starts = new List<string>();
        string? continuation = null;
        do
        {
            var page = await silo.GetAsync($"/apps/{App}/stores/moments?key=a&continuation={continuation}");
            starts.AddRange(page.GetProperty("entries").EnumerateArray().Select(entry => entry.GetProperty("windowStart").GetString()!));
            continuation = page.GetProperty("continuation").GetString();
        }
        while (continuation is not null);

        starts.Count.ShouldBe(Windows);
        starts.ShouldBe(seen.Order(StringComparer.Ordinal), ignoreOrder: true);
        await silo.RefusedAsync(HttpMethod.Get, $"/apps/{App}/stores/moments?key=a&continuation=nonsense!", null, StreamsErrorCode.InvalidRequest);
        await silo.RefusedAsync(HttpMethod.Get, $"/apps/{App}/stores/moments?key=a&continuation=AAAA", null, StreamsErrorCode.InvalidRequest);
    }

    [Fact]
    public async Task A_client_that_takes_nothing_is_dropped_with_an_end_event()
    {
        var text = new string('x', 16 * 1024);
        await ProduceAsync(Enumerable.Range(0, 2_000).Select(i => ($"k{i}", text)));
        var address = silo.Http.BaseAddress!;
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveBufferSize = 8 * 1024 };
        await socket.ConnectAsync(address.Host, address.Port);
        await socket.SendAsync(Encoding.ASCII.GetBytes($"GET /apps/{App}/stores/latest/changes HTTP/1.1\r\nHost: {address.Authority}\r\nConnection: close\r\n\r\n"));

        // It reads nothing until it is dropped.
        var began = TimeProvider.System.GetTimestamp();
        while (!(await silo.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative))).Contains("streams_changes_clients_dropped_total 1", StringComparison.Ordinal))
        {
            TimeProvider.System.GetElapsedTime(began).ShouldBeLessThan(Patience, "it was never dropped");
        }

        var tail = string.Empty;
        var buffer = new byte[64 * 1024];
        using var patience = new CancellationTokenSource(Patience);
        for (int read; (read = await socket.ReceiveAsync(buffer, patience.Token)) > 0;)
        {
            tail = (tail + Encoding.ASCII.GetString(buffer, 0, read))[^Math.Min(tail.Length + read, 1_000)..];
        }

        tail.ShouldContain("event: end\ndata: {\"reason\":\"slow\"");
    }

    [Fact]
    public async Task A_stream_by_an_alias_ends_when_the_alias_is_switched_and_the_versions_are_compared()
    {
        await ProduceAsync(Enumerable.Range(0, 20).Select(i => ($"k{i}", "v")));
        (await silo.SendAsync(HttpMethod.Put, "/aliases/serving", new { app = App }, System.Net.HttpStatusCode.OK)).GetRawText().ShouldBe("""{"alias":"serving","app":"words"}""");
        await using var stream = await EventStream.OpenAsync(silo, "/apps/serving/stores/latest/changes");
        await new View().ReadAsync(stream, view => view.Current == 2 && view.Rows.Count == 20);
        await silo.PostAsync($"/apps/{App}@v2/start", new { parameters = new { suffix = "!" }, to = "latest" });
        await UntilAsync($"{App}@v2", status => status.GetProperty("state").GetString() == "Completed");

        await silo.SendAsync(HttpMethod.Put, "/aliases/serving", new { app = $"{App}@v2" }, System.Net.HttpStatusCode.OK);

        (string Name, JsonElement Data) last = default;
        while (await stream.NextAsync().WaitAsync(Patience) is { } next)
        {
            last = next;
        }

        (last.Name, last.Data.GetProperty("reason").GetString()).ShouldBe(("end", "switched"));
        var page = await silo.GetAsync("/apps/serving/stores/latest/rows?limit=1");
        (page.GetProperty("app").GetString(), page.GetProperty("rows")[0].GetProperty("value").GetString()).ShouldBe(($"{App}@v2", "v!"));
        (await silo.GetAsync("/apps")).GetProperty("aliases").GetRawText().ShouldBe("""[{"alias":"serving","app":"words@v2"}]""");
        var found = await silo.GetAsync($"/apps/{App}/stores/latest/differences?with=serving&limit=2");
        (found.GetProperty("different").GetInt32(), found.GetProperty("equal").GetInt32()).ShouldBe((20, 0));
        found.GetProperty("differences")[0].GetRawText().ShouldBe("""{"key":"k0","windowStart":null,"windowEnd":null,"kind":"different","first":"v","second":"v!"}""");
        found.GetProperty("differences").GetArrayLength().ShouldBe(2);
        (await silo.GetAsync($"/apps/{App}/stores/counts/differences?with=serving")).GetProperty("equal").GetInt32().ShouldBe(20);
        await silo.RefusedAsync(HttpMethod.Delete, $"/apps/{App}@v2", null, StreamsErrorCode.InvalidRequest);
    }

    [Fact]
    public async Task A_wrong_id_and_an_unknown_store_are_refused_before_the_stream_begins()
    {
        await silo.RefusedAsync(HttpMethod.Get, $"/apps/{App}/stores/none/changes", null, StreamsErrorCode.StoreNotFound);
        await silo.RefusedAsync(HttpMethod.Get, "/apps/nobody/stores/latest/changes", null, StreamsErrorCode.ApplicationNotFound);
        foreach (var wrong in (string[])["nonsense", "words;0_0:1", "words;0_0:1.x", "words;0_0:1.2,0_0:1.2"])
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, $"/apps/{App}/stores/latest/changes") { Headers = { { "Last-Event-ID", wrong } } };
            using var response = await silo.Http.SendAsync(request);
            response.StatusCode.ShouldBe(System.Net.HttpStatusCode.BadRequest, wrong);
        }
    }

    private static void Describe(StreamsBuilder builder, ApplicationParameters parameters)
    {
        var suffix = parameters.GetString("suffix", string.Empty);
        builder.Table("words", Consumed.With(Serdes.Utf8, Serdes.Utf8), Materialized.As("words", Serdes.Utf8)).MapValues(word => word + suffix, Materialized.As("latest", Serdes.Utf8));
        var words = builder.Stream("words", Consumed.With(Serdes.Utf8, Serdes.Utf8).WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.FromDays(1)))).GroupByKey();
        words.WindowedBy(TumblingWindows.Of(TimeSpan.FromDays(36_500))).Count(Materialized.As("counts", Serdes.Int64));
        words.WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(1))).Count(Materialized.As("moments", Serdes.Int64));
    }

    /// <summary>Produces, and waits until a commit reflects it.</summary>
    private async Task ProduceAsync(IEnumerable<(string Key, string Value)> records, Func<long, long>? timeOf = null)
    {
        var client = silo.Services.GetRequiredService<StreamsClient>();
        await using var producer = client.CreateProducer(Serdes.Utf8, Serdes.Utf8);
        var all = records.ToArray();

        // The first alone: calls that wait for the topic's description together go on in any order.
        var first = await SendAsync(all[0], 0);
        var places = (await Task.WhenAll(all.Skip(1).Select((record, at) => SendAsync(record, at + 1)))).Append(first);
        var last = places.GroupBy(place => place.Partition.Partition).Select(group => new InputOffset("words", group.Key, group.Max(place => place.Offset)));
        await client.Applications.QueryRangeAsync(
            App, "latest", new StoreRange { Limit = 1 }, Serdes.Utf8, Serdes.Utf8, new QueryFreshness { AtLeast = [.. last], Wait = TimeSpan.FromSeconds(25) });

        Task<RecordMetadata> SendAsync((string Key, string Value) record, long number) =>
            producer.ProduceAsync(new ProducerRecord<string, string>("words", record.Key, record.Value) { Timestamp = timeOf?.Invoke(number) }).AsTask();
    }

    private async Task<Dictionary<string, string>> StoredAsync() => (await silo.GetAsync($"/apps/{App}/stores/latest/rows")).GetProperty("rows").EnumerateArray()
        .ToDictionary(row => row.GetProperty("key").GetString()!, row => row.GetProperty("value").GetString()!);

    private async Task UntilAsync(string app, Func<JsonElement, bool> holds)
    {
        var began = TimeProvider.System.GetTimestamp();
        JsonElement status;
        do
        {
            TimeProvider.System.GetElapsedTime(began).ShouldBeLessThan(Patience, string.Create(CultureInfo.InvariantCulture, $"application '{app}' never came that far"));
            status = await silo.GetAsync($"/apps/{app}");
        }
        while (!holds(status));
    }

    /// <summary>A store, as its stream tells it.</summary>
    private sealed class View
    {
        private readonly Dictionary<string, int> partitions = [];

        public Dictionary<string, string> Rows { get; } = [];

        public int Current { get; private set; }

        public int Resets { get; private set; }

        private async Task<(string Name, JsonElement Data)?> NextAsync(EventStream stream)
        {
            try
            {
                return await stream.NextAsync().WaitAsync(Patience / 2);
            }
            catch (TimeoutException)
            {
                throw new TimeoutException($"It never came: {Resets} resets, {Current} current, rows {string.Join(' ', Rows)}");
            }
        }

        public async Task ReadAsync(EventStream stream, Func<View, bool> until)
        {
            while (!until(this))
            {
                var (name, data) = (await NextAsync(stream)).ShouldNotBeNull();
                switch (name)
                {
                    case "row":
                        Rows[data.GetProperty("key").GetString()!] = data.GetProperty("value").GetString()!;
                        partitions[data.GetProperty("key").GetString()!] = data.GetProperty("partition").GetInt32();
                        break;
                    case "delete":
                        Rows.Remove(data.GetProperty("key").GetString()!);
                        break;
                    case "reset":
                        Resets++;
                        partitions.Where(row => row.Value == data.GetProperty("partition").GetInt32()).ToList().ForEach(row => Rows.Remove(row.Key));
                        break;
                    case "current":
                        Current++;
                        break;
                    default:
                        throw new InvalidDataException($"{name} {data}");
                }
            }
        }
    }
}
