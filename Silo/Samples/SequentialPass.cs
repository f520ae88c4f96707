using System.Text;
using OrleansStreams.Errors;
using OrleansStreams.Records;

namespace OrleansStreams.Silo.Samples;

/// <summary>
/// The reference for <c>flight-delays</c>: the same windows by one sequential pass over the flights in arrival order, with plain dictionaries and
/// none of the stream processor's code. Kafka's default partitioning decides which watermark a flight meets; that is all it shares.
/// </summary>
public sealed class SequentialPass
{
    private readonly long _outOfOrdernessMs;
    private readonly long _graceMs;
    private readonly Partition[] _partitions;
    private readonly Action<DelayWindow> _emit;

    /// <summary>Creates a pass.</summary>
    /// <param name="partitions">The partitions of topic <c>flights</c>.</param>
    /// <param name="outOfOrderness">How far the watermark trails the largest event time.</param>
    /// <param name="grace">How long a window stays open after its end.</param>
    /// <param name="emit">Gets every window as it closes.</param>
    public SequentialPass(int partitions, TimeSpan outOfOrderness, TimeSpan grace, Action<DelayWindow> emit)
    {
        _outOfOrdernessMs = (long)outOfOrderness.TotalMilliseconds;
        _graceMs = (long)grace.TotalMilliseconds;
        _partitions = [.. Enumerable.Range(0, partitions).Select(_ => new Partition())];
        _emit = emit;
    }

    /// <summary>Flights so far.</summary>
    public long Flights { get; private set; }

    /// <summary>Late flights so far.</summary>
    public long Late { get; private set; }

    /// <summary>
    /// Passes over an input file with the help of its arrivals file, which gives the order; that the arrivals file holds exactly the input's flights,
    /// and in order, is checked on the way.
    /// </summary>
    /// <exception cref="StreamsException">InvalidInput: the two files differ.</exception>
    public void Run(string input, string arrivals)
    {
        var last = long.MinValue;
        var arrived = (Rows: 0L, Sum: 0UL);
        foreach (var line in File.ReadLines(arrivals))
        {
            var flight = Flight.ParseLine(Encoding.UTF8.GetBytes(line));
            if (flight.Arrival < last)
            {
                throw new StreamsException(StreamsErrorCode.InvalidInput, $"{arrivals} is not in arrival order at flight {arrived.Rows + 1}");
            }

            last = flight.Arrival;
            arrived = (arrived.Rows + 1, arrived.Sum + Fingerprint(flight));
            Add(flight);
        }

        Finish();
        var given = FlightFile.Read(input).Aggregate((Rows: 0L, Sum: 0UL), (sum, flight) => (sum.Rows + 1, sum.Sum + Fingerprint(flight)));
        if (given != arrived)
        {
            throw new StreamsException(StreamsErrorCode.InvalidInput, $"{arrivals} does not hold the flights of {input}");
        }
    }

    /// <summary>Takes the next flight in arrival order.</summary>
    public void Add(Flight flight)
    {
        Flights++;
        var partition = _partitions[KeyHash.PartitionFor(Encoding.UTF8.GetBytes(flight.Origin), _partitions.Length)];
        var start = FlightDelays.WindowStart(flight.Scheduled);
        if (start + FlightDelays.WindowMs + _graceMs <= partition.Watermark)
        {
            Late++;
        }
        else
        {
            if (!partition.Open.TryGetValue(start, out var airports))
            {
                partition.Open.Add(start, airports = []);
            }

            airports[flight.Origin] = airports.GetValueOrDefault(flight.Origin).Add(flight.Delay);
        }

        partition.Watermark = Math.Max(partition.Watermark, flight.Scheduled - _outOfOrdernessMs - 1);
        Close(partition, partition.Watermark);
    }

    /// <summary>Closes every window: the input has ended.</summary>
    public void Finish()
    {
        foreach (var partition in _partitions)
        {
            Close(partition, long.MaxValue);
        }
    }

    private void Close(Partition partition, long watermark)
    {
        while (partition.Open.Count > 0 && partition.Open.GetKeyAtIndex(0) is var start && start + FlightDelays.WindowMs + _graceMs <= watermark)
        {
            foreach (var (origin, stats) in partition.Open.GetValueAtIndex(0))
            {
                _emit(DelayWindow.Of(start, origin, stats));
            }

            partition.Open.RemoveAt(0);
        }
    }

    // Order-independent: equal sums over both files mean equal flights, but for a chance of 2^-64.
    private static ulong Fingerprint(Flight flight)
    {
        var hash = 14695981039346656037UL;
        foreach (var field in (ReadOnlySpan<long>)[flight.Scheduled, flight.Delay, flight.Distance])
        {
            hash = (hash ^ (ulong)field) * 1099511628211UL;
            hash ^= hash >> 29;
        }

        foreach (var letter in flight.Origin + "," + flight.Destination)
        {
            hash = (hash ^ letter) * 1099511628211UL;
            hash ^= hash >> 32;
        }

        return hash;
    }

    private sealed class Partition
    {
        public SortedList<long, Dictionary<string, DelayStats>> Open { get; } = [];

        public long Watermark { get; set; } = long.MinValue;
    }
}
