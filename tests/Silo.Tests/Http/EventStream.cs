using System.Text;
using System.Text.Json;

namespace OrleansStreams.Silo.Tests.Http;

/// <summary>Reads server-sent events, each with the id in force.</summary>
public sealed class EventStream : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly HttpResponseMessage response;
    private readonly StreamReader reader;

    private EventStream(HttpResponseMessage response, StreamReader reader)
    {
        this.response = response;
        this.reader = reader;
    }

    public string? LastEventId { get; private set; }

    public static async Task<EventStream> OpenAsync(TestSilo silo, string path, string? lastEventId = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, path);
        if (lastEventId is not null)
        {
            request.Headers.Add("Last-Event-ID", lastEventId);
        }

        var response = await silo.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        response.EnsureSuccessStatusCode();
        response.Content.Headers.ContentType!.MediaType.ShouldBe("text/event-stream");
        var stream = new EventStream(response, new StreamReader(await response.Content.ReadAsStreamAsync(), Encoding.UTF8));

        // The first block, which tells the positions, comes before any record.
        (await stream.BlockAsync()).ShouldNotBeNull();
        stream.LastEventId.ShouldNotBeNull();
        return stream;
    }

    /// <summary>The next event, or null when the stream has ended.</summary>
    public async Task<(string Name, JsonElement Data)?> NextAsync()
    {
        while (await BlockAsync() is { } block)
        {
            if (block.Data is { } data)
            {
                return (block.Name, JsonDocument.Parse(data).RootElement);
            }
        }

        return null;
    }

    public async Task<string> NextValueAsync() => (await NextAsync())!.Value.Data.GetProperty("value").GetString()!;

    public ValueTask DisposeAsync()
    {
        reader.Dispose();
        response.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task<(string Name, string? Data)?> BlockAsync()
    {
        var name = "message";
        string? data = null;
        using var timeout = new CancellationTokenSource(Patience);
        while (await reader.ReadLineAsync(timeout.Token) is { } line)
        {
            if (line.Length == 0)
            {
                return (name, data);
            }

            var colon = line.IndexOf(':', StringComparison.Ordinal);
            var value = line[(colon + 1)..].TrimStart();
            switch (line[..colon])
            {
                case "id": LastEventId = value; break;
                case "event": name = value; break;
                case "data": data = value; break;
                case "retry" or "": break;
                default: throw new InvalidDataException(line);
            }
        }

        return null;
    }
}
