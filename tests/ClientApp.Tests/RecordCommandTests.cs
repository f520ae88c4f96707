using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace OrleansStreams.ClientApp.Tests;

[Collection(SiloCollection.Name)]
public class RecordCommandTests(SiloFixture fixture)
{
    private readonly TestSilo silo = fixture.Silo;

    [Fact]
    public async Task Key_value_lines_come_back_as_they_went_in()
    {
        var topic = await silo.CreateTopicAsync();

        (await Cli.RunAsync(silo.Address, "a:1\nb:2:3\nno key\nä:ö\n", "produce", topic)).Fine().Output.ShouldBe($"wrote 4 record(s) to '{topic}'\n");

        (await Cli.RunAsync(silo, "consume", topic, "--from-beginning")).Fine().Lines.ShouldBe(["a:1", "b:2:3", "no key", "ä:ö"]);
        (await Cli.RunAsync(silo, "consume", topic, "--offset", "2", "--partition", "0", "--max", "1")).Fine().Lines.ShouldBe(["no key"]);
        (await Cli.RunAsync(silo, "consume", topic, "--from-beginning", "--separator", " = ", "--max", "2")).Fine().Lines.ShouldBe(["a = 1", "b = 2:3"]);
    }

    [Fact]
    public async Task JSON_lines_go_in_and_come_out_with_headers_and_can_go_in_again()
    {
        // Its record is of 2001, and would go by the next round of retention.
        var topic = await silo.CreateTopicAsync(config: new() { ["retention.ms"] = -1 });
        const string input = """
            {"key":"a","value":{"n":1},"headers":{"h":"x"},"timestamp":"2001-01-01T00:00:00Z"}

            {"value":"//8=","valueEncoding":"base64"}
            {"key":"gone","value":null}
            """;

        var summary = JsonDocument.Parse((await Cli.RunAsync(silo.Address, input, "produce", topic, "--json")).Fine().Output).RootElement;
        summary.GetProperty("records").GetInt64().ShouldBe(3);

        var consumed = (await Cli.RunAsync(silo, "consume", topic, "--from-beginning", "--json")).Fine();
        consumed.Lines.ShouldBe(
        [
            """{"partition":0,"offset":0,"timestamp":978307200000,"key":"a","value":"{\"n\":1}","headers":[{"key":"h","value":"x"}]}""",
            consumed.Lines[1],
            consumed.Lines[2],
        ]);
        consumed.Lines[1].ShouldEndWith("""
            "key":null,"value":"//8=","valueEncoding":"base64"}
            """.Trim());
        consumed.Lines[2].ShouldEndWith("""
            "key":"gone","value":null}
            """.Trim());

        var copy = await silo.CreateTopicAsync();
        (await Cli.RunAsync(silo.Address, consumed.Output, "produce", copy, "--json")).Fine();
        (await Cli.RunAsync(silo, "consume", copy, "--from-beginning", "--json")).Fine().Output.ShouldBe(consumed.Output);
    }

    [Fact]
    public async Task A_record_whose_idempotency_key_is_known_is_told_with_its_originals_offset()
    {
        var topic = $"cli.dedup-{Guid.NewGuid():n}";
        (await Cli.RunAsync(silo, "topics", "create", topic, "--config", "dedup.window.ms=600000")).Fine();
        const string Line = """{"value":"1","headers":{"idempotency-key":"order-1"},"timestamp":5000}""";
        (await Cli.RunAsync(silo.Address, Line, "produce", topic, "--json")).Fine();

        var again = JsonDocument.Parse((await Cli.RunAsync(silo.Address, "{\"value\":\"0\"}\n" + Line, "produce", topic, "--json")).Fine().Output).RootElement;
        again.GetProperty("records").GetInt64().ShouldBe(2);
        again.GetProperty("duplicates").GetInt64().ShouldBe(1);
        again.GetProperty("originals")[0].GetRawText().ShouldBe("""{"line":2,"partition":0,"offset":0,"timestamp":5000}""");
        (await Cli.RunAsync(silo, "consume", topic, "--from-beginning")).Fine().Lines.ShouldBe(["1", "0"]);
    }

    [Fact]
    public async Task Many_records_keep_their_order_per_key()
    {
        var topic = await silo.CreateTopicAsync(3);
        var input = string.Concat(Enumerable.Range(0, 10_000).Select(i => $"k{i % 7}:{i}\n"));
        var file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, input);

        (await Cli.RunAsync(silo, "produce", topic, "--file", file)).Fine().Output.ShouldContain("wrote 10000 record(s)");
        File.Delete(file);

        var consumed = (await Cli.RunAsync(silo, "consume", topic, "--from-beginning")).Fine().Lines;
        consumed.Length.ShouldBe(10_000);
        foreach (var key in consumed.Select(line => line.Split(':')).GroupBy(parts => parts[0]))
        {
            key.Select(parts => int.Parse(parts[1], CultureInfo.InvariantCulture)).ShouldBeInOrder();
        }
    }

    [Theory]
    [InlineData("{\"value\":3", "line 3 is not valid JSON")]
    [InlineData("3", "line 3: a record is a JSON object")]
    [InlineData("{\"key\":\"a\"}", "line 3: the record has no value")]
    [InlineData("{\"value\":1,\"vaule\":2}", "line 3: a record has no field 'vaule'")]
    public async Task A_wrong_JSON_line_is_named_and_what_stood_before_it_is_written(string wrong, string expected)
    {
        var topic = await silo.CreateTopicAsync();

        (await Cli.RunAsync(silo.Address, $"{{\"value\":1}}\n{{\"value\":2}}\n{wrong}\n{{\"value\":4}}\n", "produce", topic, "--json"))
            .Failed(1, expected).Errors.ShouldContain("2 record(s) were written before");

        (await silo.HighWatermarkAsync(topic)).ShouldBe(2);
    }

    [Fact]
    public async Task What_the_server_refuses_is_named_by_its_line()
    {
        var topic = await silo.CreateTopicAsync(1, new() { ["max.message.bytes"] = 1000 });

        (await Cli.RunAsync(silo.Address, $"a:1\nb:{new string('x', 1000)}\nc:3\n", "produce", topic)).Failed(1, "line 2: ").Errors.ShouldContain("max.message.bytes");
        (await silo.HighWatermarkAsync(topic)).ShouldBe(0, "records of one batch are refused together");
        (await Cli.RunAsync(silo.Address, "{\"value\":1,\"timestamp\":-1}\n", "produce", topic, "--json")).Failed(1, "line 1: ");
        (await Cli.RunAsync(silo.Address, "a:1\n", "produce", "nowhere")).Failed(1, "nowhere");
        (await Cli.RunAsync(silo, "produce", topic, "--file", "/nowhere/file")).Failed(1, "/nowhere/file");
        (await Cli.RunAsync(silo, "consume", "nowhere")).Failed(1, "nowhere");
        (await Cli.RunAsync(silo, "consume", topic, "--partition", "5", "--from-beginning")).Failed(1, "no partition 5");
        (await Cli.RunAsync(silo, "consume", topic, "--partition", "0", "--offset", "99")).Failed(1, "99");
        (await Cli.RunAsync(silo, "consume", topic, "--partition", "0", "--offset", "-1")).ExitCode.ShouldBe(2);
    }

    [Fact]
    public async Task Input_that_is_not_UTF_8_is_refused()
    {
        var topic = await silo.CreateTopicAsync();
        var file = Path.GetTempFileName();
        await File.WriteAllBytesAsync(file, [(byte)'a', (byte)'\n', 0xff, 0xfe, (byte)'\n']);

        (await Cli.RunAsync(silo, "produce", topic, "--file", file)).Failed(1, "not UTF-8").Errors.ShouldContain("base64");
        File.Delete(file);
    }

    [Fact]
    public async Task A_source_that_is_followed_is_sent_as_it_speaks()
    {
        var topic = await silo.CreateTopicAsync();
        using var producer = Cli.Start(silo, "produce", topic);
        using var consumer = Cli.Start(silo, "consume", topic, "--from-beginning", "--follow");
        for (var i = 0; i < 3; i++)
        {
            await producer.Process.StandardInput.WriteLineAsync($"k:line {i}");
            await producer.Process.StandardInput.FlushAsync();

            // Both ends stay open: the line must come through on its own.
            await consumer.SeenAsync($"k:line {i}");
        }

        (await producer.FinishAsync()).Fine();
        consumer.Signal("INT");
        (await consumer.EndAsync()).Fine();
    }

    [Theory]
    [InlineData("INT")]
    [InlineData("TERM")]
    public async Task Without_a_start_only_new_records_are_printed_until_a_signal_ends_it(string signal)
    {
        var topic = await silo.CreateTopicAsync();
        await ProduceAsync(topic, "old");
        using var consumer = Cli.Start(silo, "consume", topic);

        // Produces until the consumer prints, because nothing tells from outside that it has begun.
        var seen = consumer.SeenAsync("k:new");
        while (!seen.IsCompleted)
        {
            await ProduceAsync(topic, "new");
        }

        consumer.Signal(signal);
        (await consumer.EndAsync()).Fine().Output.ShouldNotContain("old");
    }

    [Fact]
    public async Task A_reader_that_goes_away_ends_the_consumer_quietly()
    {
        var topic = await silo.CreateTopicAsync();
        await silo.PostAsync($"/topics/{topic}/records", new { records = Enumerable.Range(0, 10_000).Select(i => new { value = new string('x', 100) + i }) });
        var start = new ProcessStartInfo("sh") { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add($"(dotnet '{Cli.Assembly}' consume {topic} --from-beginning --follow --server {silo.Address}; echo code=$? >&2) | head -2");

        using var shell = Process.Start(start)!;
        var output = shell.StandardOutput.ReadToEndAsync();
        var errors = shell.StandardError.ReadToEndAsync();
        await shell.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(60));

        (await output).Split('\n', StringSplitOptions.RemoveEmptyEntries).Length.ShouldBe(2);
        (await errors).ShouldBe("code=0\n");
    }

    [Theory]
    [InlineData("{\"\\ud800\":1,\"value\":1}")]
    [InlineData("{\"value\":{\"\\ud800\":\"\\udc00\"}}")]
    public async Task JSON_text_that_is_not_Unicode_is_named_by_its_line(string record)
    {
        var topic = await silo.CreateTopicAsync();

        (await Cli.RunAsync(silo.Address, "{\"value\":1}\n" + record + "\n", "produce", topic, "--json")).Failed(1, "line 2");
    }

    [Fact]
    public async Task A_follower_without_a_group_reads_partitions_that_are_added_later()
    {
        var topic = await silo.CreateTopicAsync();
        await ProduceAsync(topic, "first");
        using var cli = Cli.Start(silo, "consume", topic, "--from-beginning", "--follow");
        await cli.SeenAsync("k:first\n");

        await silo.SendAsync(HttpMethod.Patch, $"/topics/{topic}", new { partitions = 2 }, System.Net.HttpStatusCode.OK);
        await silo.PostAsync($"/topics/{topic}/records", new { key = "k", value = "added", partition = 1 });
        await cli.SeenAsync("k:added\n");

        cli.Signal("INT");
        (await cli.EndAsync()).Fine();
    }

    [Fact]
    public async Task With_acks_none_records_are_sent_as_well()
    {
        var topic = await silo.CreateTopicAsync();

        (await Cli.RunAsync(silo.Address, "a:1\n", "produce", topic, "--acks", "none")).Fine();

        (await silo.GetAsync($"/topics/{topic}/records?partition=0&maxWaitMs=10000")).GetProperty("records").GetArrayLength().ShouldBe(1);
    }

    private Task ProduceAsync(string topic, string value) => silo.PostAsync($"/topics/{topic}/records", new { key = "k", value });
}
