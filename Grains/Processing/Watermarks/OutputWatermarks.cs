namespace OrleansStreams.Processing.Watermarks;

/// <summary>
/// What the readers of the topics that a task writes are told of its event time: by markers in every partition, behind the records of the commit in which it rose, through the
/// outbox and hence once and in order. A marker is never ahead of a record that follows it, but for records that are late here already.
/// </summary>
internal sealed class OutputWatermarks
{
    private const byte IdleFlag = 1;

    private readonly WatermarkTracker _tracker;
    private readonly string _taskName;
    private readonly Output[] _outputs;

    public OutputWatermarks(TaskPlan plan, WatermarkTracker tracker)
    {
        _tracker = tracker;
        _taskName = plan.Name;
        var paths = OutputPath.Of(plan.SubTopology);

        // Dead-letter topics, which stand behind them, are told nothing: their letters are of any time.
        _outputs = [.. plan.Outputs.Take(paths.Length).Select((output, index) => new Output(paths[index], output.CarriesWatermarks))];
    }

    /// <summary>Whether tasks downstream wait for this one's watermark.</summary>
    public bool CarriesWatermarks => Array.Exists(_outputs, output => output.Carries);

    /// <summary>Whether there is anything to tell that no record tells: an idle input, or one that is not idle any more.</summary>
    public bool IsIdlenessNews => Array.Exists(_outputs, output => output.Carries && output.Told != WatermarkTracker.End && _tracker.AreIdle(output.Inputs) != output.IsToldIdle);

    /// <summary>Tells that the task is active again, before the records that it makes now: once they are on their way, nobody's watermark passes them by.</summary>
    public void AppendActive(Outbox outbox)
    {
        for (var index = 0; index < _outputs.Length; index++)
        {
            var output = _outputs[index];
            if (output.IsToldIdle && !_tracker.AreIdle(output.Inputs))
            {
                output.IsToldIdle = false;
                outbox.AppendMarker(index, _taskName, output.Told, isIdle: false, Timestamp);
            }
        }
    }

    /// <summary>Tells what is new, behind everything that was written before: once per commit.</summary>
    public void AppendNews(Outbox outbox)
    {
        for (var index = 0; index < _outputs.Length; index++)
        {
            var output = _outputs[index];
            if (output.Told == WatermarkTracker.End)
            {
                continue;
            }

            output.Watermark = output.Inputs.Length == _tracker.InputCount ? _tracker.Watermark : _tracker.MinimumOf(output.Inputs, output.Watermark);
            var told = output.Watermark is WatermarkTracker.None or WatermarkTracker.End ? output.Watermark : output.Watermark - output.DelayMs;
            var isIdle = _tracker.AreIdle(output.Inputs);
            var isNews = output.Carries ? told > output.Told || isIdle != output.IsToldIdle : told == WatermarkTracker.End;
            if (isNews)
            {
                output.Told = told;
                output.IsToldIdle = isIdle;
                outbox.AppendMarker(index, _taskName, told, isIdle, Timestamp);
            }
        }
    }

    /// <summary>Writes a count int32, then per output: its watermark int64 | what was told int64 | flags byte (1 told idle).</summary>
    public void Write(ByteBuffer to)
    {
        to.WriteInt32(_outputs.Length);
        foreach (var output in _outputs)
        {
            to.WriteInt64(output.Watermark);
            to.WriteInt64(output.Told);
            to.WriteByte(output.IsToldIdle ? IdleFlag : (byte)0);
        }
    }

    public void Read(ref ByteReader from)
    {
        if (from.ReadInt32() != _outputs.Length)
        {
            throw ByteReader.Damaged();
        }

        foreach (var output in _outputs)
        {
            output.Watermark = from.ReadInt64();
            output.Told = from.ReadInt64();
            output.IsToldIdle = (from.ReadByte() & IdleFlag) != 0;
        }
    }

    private long Timestamp => Math.Max(_tracker.MaxEventTime, 0);

    private sealed class Output(OutputPath path, bool carries)
    {
        private readonly int[] _inputs = [.. path.Inputs];

        public ReadOnlySpan<int> Inputs => _inputs;

        public long DelayMs { get; } = path.DelayMs;

        public bool Carries { get; } = carries;

        public long Watermark { get; set; } = WatermarkTracker.None;

        public long Told { get; set; } = WatermarkTracker.None;

        public bool IsToldIdle { get; set; }
    }
}
