using OrleansStreams.Processing.Operators;
using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Tables;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Joins;

/// <summary>Tells a pair, or a record without a partner.</summary>
internal delegate void PairEmitter<in TKey, in TThis, in TOther>(in RecordView raw, long timestamp, TKey key, TThis? value, TOther? other);

/// <summary>One of two joined streams: its records meet those of the other that are kept, and are kept for those that are to come.</summary>
/// <param name="context">The task's.</param>
/// <param name="clock">The step's.</param>
/// <param name="keys">The bytes of its keys.</param>
/// <param name="keepsNull">Whether the context says that a value of a value type is null.</param>
/// <param name="side">What distinguishes it from the other.</param>
/// <param name="own">Its records.</param>
/// <param name="others">The other's.</param>
/// <param name="emit">Tells results.</param>
internal sealed class StreamJoinSide<TKey, TThis, TOther>(
    TaskContext context,
    StepClock clock,
    KeyBytes<TKey> keys,
    bool keepsNull,
    JoinSide side,
    TimedStore<TKey, Buffered<TThis>> own,
    TimedStore<TKey, Buffered<TOther>> others,
    PairEmitter<TKey, TThis, TOther> emit) : Processor<TKey, TThis>
{
    private readonly List<int> _closed = [];

    /// <summary>The step's watermark at which the window of its first record closes; long.MaxValue when it keeps none.</summary>
    public long NextDue { get; private set; } = long.MaxValue;

    public override void Process(in RecordView raw, long timestamp, TKey key, TThis value)
    {
        var keyBytes = keys.Of(raw, key);
        if (value is null || (keepsNull && context.ValueIsNull))
        {
            return;
        }

        // Its own time ends, as windows do, a ms after it.
        if (timestamp + 1 + side.GraceMs <= clock.RecordWatermark)
        {
            context.LateRecords++;
            return;
        }

        var isMatched = false;
        for (var entry = others.FirstFrom(keyBytes, timestamp - side.BeforeMs); entry >= 0 && others.StartOf(entry) <= timestamp + side.AfterMs; entry = others.Next(entry))
        {
            var other = others.ValueOf(entry);
            if (side.KeepsOther && !other.IsMatched)
            {
                others.Touch(entry).IsMatched = true;
            }

            isMatched = true;
            emit(raw, Math.Max(timestamp, others.StartOf(entry)), key, value, other.Value);
        }

        if (timestamp + side.CloseDelayMs > clock.Watermark)
        {
            own.Append(keyBytes, timestamp, new Buffered<TThis>(value, isMatched));
            NextDue = Math.Min(NextDue, timestamp + side.CloseDelayMs);
        }
        else if (side.KeepsThis && !isMatched)
        {
            // With a negative bound a window may have closed before its record comes.
            emit(raw, timestamp, key, value, default);
        }
    }

    /// <summary>Forgets the first records that are due, all of one time, by key bytes; those that had no partner are told if they are to be.</summary>
    public void CloseNext()
    {
        own.TakeExpired(NextDue - side.CloseDelayMs, _closed, out var time);
        if (side.KeepsThis)
        {
            foreach (var entry in _closed)
            {
                var buffered = own.ValueOf(entry);
                if (!buffered.IsMatched)
                {
                    emit(default, time, own.KeyOf(entry), buffered.Value, default);
                }
            }
        }

        own.Expire(_closed, time);
        Restored();
    }

    /// <summary>Looks at the store again.</summary>
    public void Restored()
    {
        var first = own.NextExpiry;
        NextDue = first == long.MaxValue ? long.MaxValue : first + side.CloseDelayMs;
    }
}

/// <summary>How one of two joined streams looks at the other.</summary>
/// <param name="BeforeMs">How much earlier a partner may be.</param>
/// <param name="AfterMs">How much later a partner may be.</param>
/// <param name="GraceMs">How far behind its input's watermark a record is taken.</param>
/// <param name="KeepsThis">Whether its records without a partner have a result.</param>
/// <param name="KeepsOther">Whether the other's have.</param>
internal sealed record JoinSide(long BeforeMs, long AfterMs, long GraceMs, bool KeepsThis, bool KeepsOther)
{
    /// <summary>The distance from a record's time to the watermark at which no partner can come any more.</summary>
    public long CloseDelayMs { get; } = AfterMs + 1 + GraceMs;
}

/// <summary>
/// Joins two streams over windows.
/// <para>
/// Why the interleaving of the two cannot change a result: a record at time t is taken if t + 1 + grace is above the watermark of its own input just before it, which depends on nothing but the
/// records before it in its partition. A record is kept until the step's watermark, which is never above those of the inputs, reaches its last partner's time + 1 + grace: from
/// then on such partners are late by their own input too. So two records that are taken and belong together meet, whichever comes first; and whoever is
/// forgotten without having met one never would have.
/// </para>
/// </summary>
internal sealed class StreamJoinProcessor<TKey, TLeft, TRight, TResult> : IEventTimeStep, IRestoredStep
{
    private readonly TaskContext _context;
    private readonly StreamJoinNode<TKey, TLeft, TRight, TResult> _node;
    private readonly Emitter<TKey, TResult> _output;

    public StreamJoinProcessor(
        TaskContext context,
        StepClock clock,
        StreamJoinNode<TKey, TLeft, TRight, TResult> node,
        TimedStore<TKey, Buffered<TLeft>> lefts,
        TimedStore<TKey, Buffered<TRight>> rights,
        Emitter<TKey, TResult> output)
    {
        _context = context;
        _node = node;
        _output = output;
        var (windows, left, right) = (node.Windows, node.Parents[0], node.Parents[1]);
        Left = new(
            context, clock, new KeyBytes<TKey>(node.Joined.KeySerde, left.KeepsKey), left.KeepsNull,
            new JoinSide(windows.BeforeMs, windows.AfterMs, windows.GraceMs, node.KeepsLeft, node.KeepsRight), lefts, rights, Emit);
        Right = new(
            context, clock, new KeyBytes<TKey>(node.Joined.KeySerde, right.KeepsKey), right.KeepsNull,
            new JoinSide(windows.AfterMs, windows.BeforeMs, windows.GraceMs, node.KeepsRight, node.KeepsLeft), rights, lefts, EmitSwapped);
    }

    public StreamJoinSide<TKey, TLeft, TRight> Left { get; }

    public StreamJoinSide<TKey, TRight, TLeft> Right { get; }

    public long NextDue => Math.Min(Left.NextDue, Right.NextDue);

    public void OnWatermark(long watermark)
    {
        while (NextDue <= watermark)
        {
            if (Left.NextDue <= Right.NextDue)
            {
                Left.CloseNext();
            }
            else
            {
                Right.CloseNext();
            }
        }
    }

    public void Restored()
    {
        Left.Restored();
        Right.Restored();
    }

    private void EmitSwapped(in RecordView raw, long timestamp, TKey key, TRight? right, TLeft? left) => Emit(raw, timestamp, key, left, right);

    private void Emit(in RecordView raw, long timestamp, TKey key, TLeft? left, TRight? right)
    {
        var headers = _context.Headers;
        _context.Headers = [];
        _output.Emit(raw, timestamp, key, _node.Joiner(key, left, right));
        _context.Headers = headers;
    }
}
