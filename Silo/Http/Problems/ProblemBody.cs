using System.Text;
using System.Text.Json.Serialization;

namespace OrleansStreams.Silo.Http.Problems;

/// <summary>An error as the API answers it: RFC 9457 with this product's code.</summary>
internal sealed record ProblemBody
{
    /// <summary>A URN that names the kind of error.</summary>
    public required string Type { get; init; }

    /// <summary>The kind of error in words.</summary>
    public required string Title { get; init; }

    /// <summary>The HTTP status.</summary>
    public required int Status { get; init; }

    /// <summary>What is wrong and what to do about it.</summary>
    public required string Detail { get; init; }

    /// <summary>The stable code, a name of StreamsErrorCode.</summary>
    public required string Code { get; init; }

    /// <summary>Whether the same request may succeed later.</summary>
    public required bool Retriable { get; init; }

    /// <summary>For writes: notWritten, written or unknown.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Outcome { get; init; }

    /// <summary>Values that belong to the error, for example the line of the input.</summary>
    [JsonExtensionData]
    public IDictionary<string, object?>? Details { get; init; }

    public static ProblemBody Of(StreamsErrorCode code, string detail, int? status = null, WriteOutcome outcome = WriteOutcome.NotAWrite) => new()
    {
        Type = $"urn:orleans-streams:error:{code}",
        Title = TitleOf(code),
        Status = status ?? ErrorTable.HttpStatusOf(code),
        Detail = detail,
        Code = code.ToString(),
        Retriable = ErrorTable.IsRetriable(code),
        Outcome = outcome switch
        {
            WriteOutcome.NotWritten => "notWritten",
            WriteOutcome.Written => "written",
            WriteOutcome.Unknown => "unknown",
            _ => null,
        },
    };

    /// <summary>UnknownTopicOrPartition becomes "Unknown topic or partition".</summary>
    private static string TitleOf(StreamsErrorCode code)
    {
        var title = new StringBuilder();
        foreach (var letter in code.ToString())
        {
            var wordBegins = char.IsUpper(letter) && title.Length > 0;
            title.Append(wordBegins ? " " : string.Empty).Append(wordBegins ? char.ToLowerInvariant(letter) : letter);
        }

        return title.ToString();
    }
}
