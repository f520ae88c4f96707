using OrleansStreams.Processing.Operators;
using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Watermarks;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Processors;

/// <summary>
/// When a processor's punctuators are due, in a store, so that a restore knows it:
/// <code>
///  number int32, in the order in which they were scheduled  ->  next due int64 (ms since the Unix epoch; long.MaxValue when it was cancelled)
/// </code>
/// </summary>
internal abstract class Punctuators(string processor, PunctuationType type, KeyValueStore<int, long> times)
{
    private readonly List<Punctuator> _all = [];

    /// <summary>When the first one is due; long.MaxValue when none is.</summary>
    public long NextDue { get; private set; } = long.MaxValue;

    protected IReadOnlyList<Punctuator> All => _all;

    /// <summary>Adds a punctuator, which goes on where the store has it.</summary>
    public IPunctuator Add(int number, long intervalMs, long firstDue, Action<long> callback)
    {
        var punctuator = new Punctuator(this, number, intervalMs, callback);
        _all.Add(punctuator);
        if (times.TryGet(times.BytesOf(number), out var due))
        {
            punctuator.Due = due;
            punctuator.IsCancelled = due == long.MaxValue;
        }
        else
        {
            SetDue(punctuator, firstDue);
        }

        Look();
        return punctuator;
    }

    protected void SetDue(Punctuator punctuator, long due)
    {
        punctuator.Due = due;
        times.Put(times.BytesOf(punctuator.Number), due);
    }

    protected void Look()
    {
        NextDue = long.MaxValue;
        foreach (var punctuator in _all)
        {
            NextDue = Math.Min(NextDue, punctuator.Due);
        }
    }

    /// <exception cref="StreamsException">Whatever the callback threw, as InvalidInput unless it has a code of its own, with the punctuator's name.</exception>
    protected void Call(Punctuator punctuator, long timeMs)
    {
        try
        {
            punctuator.Callback(timeMs);
        }
        catch (Exception error)
        {
            var (code, what) = error is StreamsException streams ? (streams.Code, string.Empty) : (StreamsErrorCode.InvalidInput, error.GetType().Name + ": ");
            var kind = type == PunctuationType.EventTime ? "event time" : "wall clock";
            throw new StreamsException(code, $"The punctuator {punctuator.Number} of the processor '{processor}', every {punctuator.IntervalMs} ms by {kind}, failed at {timeMs}: {what}{error.Message}", inner: error);
        }
    }

    internal sealed class Punctuator(Punctuators owner, int number, long intervalMs, Action<long> callback) : IPunctuator
    {
        public int Number => number;

        public long IntervalMs => intervalMs;

        public Action<long> Callback => callback;

        public long Due { get; set; }

        public bool IsCancelled { get; set; }

        public void Cancel()
        {
            IsCancelled = true;
            owner.SetDue(this, long.MaxValue);
            owner.Look();
        }
    }
}

/// <summary>Punctuators by event time. What is due when: see <see cref="PunctuationType.EventTime"/>.</summary>
internal sealed class EventTimePunctuators(string processor, StepClock clock, KeyValueStore<int, long> times)
    : Punctuators(processor, PunctuationType.EventTime, times), IEventTimeStep
{
    /// <summary>Before every watermark that comes of event times: due with the first one.</summary>
    private const long BeforeAll = -2 * EventTimes.Max;

    public IPunctuator Add(int number, long intervalMs, Action<long> callback) => Add(number, intervalMs, NextMultiple(clock.Watermark, intervalMs), callback);

    public void OnWatermark(long watermark)
    {
        foreach (var punctuator in All)
        {
            if (punctuator.Due > watermark)
            {
                continue;
            }

            // Steps are taken ms by ms: those multiples that a jump passes are left out, up to the last.
            var last = clock.IsEnding ? NextMultiple(clock.MaxEventTime, punctuator.IntervalMs) : Multiple(clock.Target, punctuator.IntervalMs);
            if (punctuator.Due < last)
            {
                SetDue(punctuator, last);
                continue;
            }

            var due = punctuator.Due;
            SetDue(punctuator, clock.IsEnding ? long.MaxValue : due + punctuator.IntervalMs);
            if (due > BeforeAll)
            {
                Call(punctuator, due);
            }
        }

        Look();
    }

    /// <summary>After the end of input a step before has emitted something more: they are called for it once more.</summary>
    public void CallOnceMore()
    {
        foreach (var punctuator in All)
        {
            if (!punctuator.IsCancelled && punctuator.Due == long.MaxValue)
            {
                SetDue(punctuator, NextMultiple(clock.Watermark, punctuator.IntervalMs));
            }
        }

        Look();
    }

    private static long NextMultiple(long time, long intervalMs) => time switch
    {
        WatermarkTracker.None => BeforeAll,
        WatermarkTracker.End => long.MaxValue,
        _ => Multiple(time, intervalMs) + intervalMs,
    };

    /// <summary>The last multiple at or before a time.</summary>
    private static long Multiple(long time, long intervalMs)
    {
        var rest = time % intervalMs;
        return time - rest - (rest < 0 ? intervalMs : 0);
    }
}

/// <summary>Punctuators by the wall clock. What is due when: see <see cref="PunctuationType.WallClock"/>.</summary>
internal sealed class WallClockPunctuators(string processor, TaskContext context, KeyValueStore<int, long> times)
    : Punctuators(processor, PunctuationType.WallClock, times), IWallClockStep
{
    public IPunctuator Add(int number, long intervalMs, Action<long> callback) => Add(number, intervalMs, Math.Max(context.ClockMs, 0) + intervalMs, callback);

    public void OnWallClock(long nowMs)
    {
        foreach (var punctuator in All)
        {
            if (punctuator.Due <= nowMs)
            {
                var intervals = ((nowMs - punctuator.Due) / punctuator.IntervalMs) + 1;
                SetDue(punctuator, punctuator.Due + (intervals * punctuator.IntervalMs));
                Call(punctuator, nowMs);
            }
        }

        Look();
    }
}
