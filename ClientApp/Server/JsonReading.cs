using System.Globalization;
using System.Text.Json;

namespace OrleansStreams.ClientApp.Server;

/// <summary>Reads the server's answers for tables: what is missing or null is shown as "-".</summary>
internal static class JsonReading
{
    public const string Nothing = "-";

    public static string Text(this JsonElement json, string name) => !json.TryGetProperty(name, out var value) ? Nothing : value.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.Undefined => Nothing,
        JsonValueKind.String => value.GetString()!,
        _ => value.GetRawText(),
    };

    public static string Rounded(this JsonElement json, string name) =>
        json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) ? number.ToString("0.#", CultureInfo.InvariantCulture) : Nothing;

    public static long Long(this JsonElement json, string name) => json.GetProperty(name).GetInt64();

    public static JsonElement.ArrayEnumerator Items(this JsonElement json, string name) => json.GetProperty(name).EnumerateArray();
}
