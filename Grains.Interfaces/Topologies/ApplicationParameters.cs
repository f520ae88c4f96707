using System.Globalization;

namespace OrleansStreams.Topologies;

/// <summary>The parameters that an application was started with, by name. A missing or malformed one is told by name.</summary>
public sealed class ApplicationParameters
{
    /// <summary>The parameter that bounds file sources which set no rate of their own: rows per second, 0 for no bound.</summary>
    public const string Rate = "rate";

    private readonly IReadOnlyDictionary<string, string> _values;

    /// <summary>Wraps the parameters.</summary>
    public ApplicationParameters(IReadOnlyDictionary<string, string> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        _values = values;
    }

    /// <summary>No parameters.</summary>
    public static ApplicationParameters Empty { get; } = new(new Dictionary<string, string>());

    /// <summary>The version that is described when an application runs as <c>name@version</c>, to name result topics by, for example; empty for the application itself.</summary>
    public string Version { get; private init; } = string.Empty;

    /// <summary>A text that must be given.</summary>
    /// <exception cref="StreamsException">InvalidRequest when it is missing.</exception>
    public string GetString(string name) => _values.TryGetValue(name, out var value)
        ? value
        : throw new StreamsException(StreamsErrorCode.InvalidRequest, $"The application needs the parameter '{name}': start it with {name}=VALUE.");

    /// <summary>A text, or a default.</summary>
    public string GetString(string name, string defaultValue) => _values.TryGetValue(name, out var value) ? value : defaultValue;

    /// <summary>A whole number, or a default.</summary>
    /// <exception cref="StreamsException">InvalidRequest when it is no whole number.</exception>
    public long GetInt64(string name, long defaultValue) => !_values.TryGetValue(name, out var text)
        ? defaultValue
        : long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) ? value : throw Malformed(name, text, "a whole number such as 10");

    /// <summary>A number, or a default.</summary>
    /// <exception cref="StreamsException">InvalidRequest when it is no finite number.</exception>
    public double GetDouble(string name, double defaultValue) => !_values.TryGetValue(name, out var text)
        ? defaultValue
        : double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && double.IsFinite(value)
            ? value
            : throw Malformed(name, text, "a number such as 2.5");

    /// <summary>A truth value, or a default.</summary>
    /// <exception cref="StreamsException">InvalidRequest when it is neither true nor false.</exception>
    public bool GetBoolean(string name, bool defaultValue) => !_values.TryGetValue(name, out var text)
        ? defaultValue
        : bool.TryParse(text, out var value) ? value : throw Malformed(name, text, "true or false");

    /// <summary>A time span in the form <c>[d.]hh:mm:ss[.fff]</c>, or a default.</summary>
    /// <exception cref="StreamsException">InvalidRequest when it is no time span.</exception>
    public TimeSpan GetTimeSpan(string name, TimeSpan defaultValue) => !_values.TryGetValue(name, out var text)
        ? defaultValue
        : TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out var value) ? value : throw Malformed(name, text, "a time span such as 02:00:00");

    internal ApplicationParameters OfVersion(string version) => new(_values) { Version = version };

    private static StreamsException Malformed(string name, string text, string expected) =>
        new(StreamsErrorCode.InvalidRequest, $"The application's parameter '{name}' is '{text}': give {expected}.");
}
