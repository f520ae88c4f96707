using System.Diagnostics.Metrics;
using System.Text;

namespace OrleansStreams.Silo.Http.Metrics;

/// <summary>Listens to the meters of this product, of the runtime and of the web server, and writes what it has counted as Prometheus text.</summary>
internal sealed partial class MetricsCollector : IDisposable
{
    /// <summary>The meter of this product.</summary>
    public const string MeterName = "OrleansStreams";

    private static readonly HashSet<string> MeterNames = new(StringComparer.Ordinal) { MeterName, "System.Runtime", "Microsoft.AspNetCore.Hosting" };

    private readonly SortedDictionary<string, MetricFamily> families = new(StringComparer.Ordinal);
    private readonly Lock familiesGate = new();
    private readonly Lock scrapeGate = new();
    private readonly MeterListener listener = new();
    private readonly ILogger<MetricsCollector> logger;

    public MetricsCollector(ILogger<MetricsCollector> logger)
    {
        this.logger = logger;
        listener.InstrumentPublished = (instrument, listening) =>
        {
            if (MeterNames.Contains(instrument.Meter.Name) && FamilyOf(instrument) is { } family)
            {
                listening.EnableMeasurementEvents(instrument, family);
            }
        };
        listener.SetMeasurementEventCallback<byte>((instrument, value, tags, state) => Record(instrument, value, tags, state));
        listener.SetMeasurementEventCallback<short>((instrument, value, tags, state) => Record(instrument, value, tags, state));
        listener.SetMeasurementEventCallback<int>((instrument, value, tags, state) => Record(instrument, value, tags, state));
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, state) => Record(instrument, value, tags, state));
        listener.SetMeasurementEventCallback<float>((instrument, value, tags, state) => Record(instrument, value, tags, state));
        listener.SetMeasurementEventCallback<double>((instrument, value, tags, state) => Record(instrument, value, tags, state));
        listener.SetMeasurementEventCallback<decimal>((instrument, value, tags, state) => Record(instrument, (double)value, tags, state));
        listener.Start();
    }

    /// <summary>Asks the observable instruments and writes every family.</summary>
    public string Scrape()
    {
        lock (scrapeGate)
        {
            MetricFamily[] all;
            lock (familiesGate)
            {
                all = [.. families.Values];
            }

            foreach (var family in all)
            {
                if (family.IsObservable)
                {
                    family.ForgetObservations();
                }
            }

            try
            {
                listener.RecordObservableInstruments();
            }
            catch (AggregateException exception)
            {
                // One instrument that fails must not hide the others.
                LogObservationFailed(exception);
            }

            var output = new StringBuilder(16 * 1024);
            foreach (var family in all)
            {
                PrometheusText.WriteFamily(output, family);
            }

            return output.ToString();
        }
    }

    public void Dispose() => listener.Dispose();

    private static void Record(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state)
    {
        // Observations of several instruments add up as counters do, since their series were cleared before they were asked.
        var isGauge = !instrument.IsObservable && IsGauge(instrument);
        ((MetricFamily)state!).Record(value, tags, isGauge);
    }

    private static bool IsGauge(Instrument instrument) => instrument.GetType().GetGenericTypeDefinition() == typeof(Gauge<>);

    private MetricFamily? FamilyOf(Instrument instrument)
    {
        var type = instrument.GetType().GetGenericTypeDefinition();
        var kind = type == typeof(Histogram<>) ? MetricKind.Histogram
            : type == typeof(Counter<>) || type == typeof(ObservableCounter<>) ? MetricKind.Counter
            : MetricKind.Gauge;
        var name = PrometheusText.MetricName(instrument.Name, instrument.Unit, kind);
        lock (familiesGate)
        {
            if (!families.TryGetValue(name, out var family))
            {
                families[name] = family = new MetricFamily(name, kind, instrument);
            }

            if (family.Kind == kind && family.IsObservable == instrument.IsObservable)
            {
                return family;
            }

            LogConflict(name, instrument.Meter.Name, instrument.Name);
            return null;
        }
    }

    [LoggerMessage(EventId = 4101, Level = LogLevel.Warning, Message = "An observable instrument failed and is missing from /metrics")]
    private partial void LogObservationFailed(Exception exception);

    [LoggerMessage(EventId = 4102, Level = LogLevel.Warning, Message = "The metric {Metric} exists with another type; instrument {Instrument} of meter {Meter} is left out")]
    private partial void LogConflict(string metric, string meter, string instrument);
}
