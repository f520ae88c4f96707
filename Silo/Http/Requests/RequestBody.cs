using System.Buffers;
using System.Text.Json;
using Microsoft.AspNetCore.Http.Features;

namespace OrleansStreams.Silo.Http.Requests;

/// <summary>Reads JSON bodies within a bound. Handlers read bodies themselves, so that every mistake in one is answered with a typed error.</summary>
internal static class RequestBody
{
    private const int FirstReadBytes = 16 * 1024;

    /// <summary>The body as a T.</summary>
    /// <exception cref="StreamsException">RecordTooLarge; InvalidRequest for anything that is not a T.</exception>
    public static async Task<T> ReadAsync<T>(HttpContext http, int maxBytes)
    {
        var bytes = await ReadBytesAsync(http, maxBytes);
        var options = http.RequestServices.GetRequiredService<Microsoft.Extensions.Options.IOptions<Microsoft.AspNetCore.Http.Json.JsonOptions>>().Value;
        try
        {
            return JsonSerializer.Deserialize<T>(bytes.Span, options.SerializerOptions)
                ?? throw new StreamsException(StreamsErrorCode.InvalidRequest, "The body is null; send a JSON object.");
        }
        catch (JsonException exception)
        {
            throw Invalid(exception);
        }
    }

    /// <summary>The body's bytes; the content type must be JSON, which also keeps foreign web pages from posting here without asking.</summary>
    public static async Task<ReadOnlyMemory<byte>> ReadBytesAsync(HttpContext http, int maxBytes)
    {
        var request = http.Request;
        CheckContentType(request);

        if (request.ContentLength > maxBytes)
        {
            throw TooLarge(maxBytes);
        }

        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } feature)
        {
            feature.MaxRequestBodySize = maxBytes;
        }

        var buffer = new ArrayBufferWriter<byte>((int)Math.Max(request.ContentLength ?? 0, FirstReadBytes));
        while (true)
        {
            var read = await request.Body.ReadAsync(buffer.GetMemory(FirstReadBytes), http.RequestAborted);
            if (read == 0)
            {
                return buffer.WrittenMemory;
            }

            buffer.Advance(read);
            if (buffer.WrittenCount > maxBytes)
            {
                throw TooLarge(maxBytes);
            }
        }
    }

    /// <summary>
    /// Refuses what is not said to be JSON, also where a body may be left out: a web page of a stranger can make a browser post anywhere, but not with this content type
    /// unless the server agrees first (Fetch standard, CORS-safelisted request-header).
    /// </summary>
    /// <exception cref="StreamsException">InvalidRequest.</exception>
    public static void CheckContentType(HttpRequest request)
    {
        if (!request.HasJsonContentType())
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidRequest, $"The content type is '{request.ContentType}'; send JSON with the header Content-Type: application/json.");
        }
    }

    /// <summary>A JSON error as a typed one, with the place; paths and lines come from the reader, never a stack trace.</summary>
    public static StreamsException Invalid(JsonException exception) => new(
        StreamsErrorCode.InvalidRequest,
        exception.Path is { Length: > 1 } path ? $"The body is wrong at {path}: {exception.Message}" : $"The body is not valid JSON: {exception.Message}",
        WriteOutcome.NotWritten,
        exception);

    private static StreamsException TooLarge(int maxBytes) => new(
        StreamsErrorCode.RecordTooLarge,
        $"The request body is larger than {maxBytes} bytes; send fewer records in a request, or stream them as application/x-ndjson.",
        WriteOutcome.NotWritten);
}
