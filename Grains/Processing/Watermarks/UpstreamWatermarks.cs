using System.Text;

namespace OrleansStreams.Processing.Watermarks;

/// <summary>
/// What the tasks that write an input have said by their markers. The input's watermark is the minimum over those that count, by the rules of
/// <see cref="WatermarkTracker"/>, and never goes back. Taking the same marker again changes nothing, so that a task which delivers its last commit a second time does no harm.
/// </summary>
internal sealed class UpstreamWatermarks
{
    private const byte IdleFlag = 1;

    private readonly Upstream[] _upstreams;
    private readonly Dictionary<string, int> _indexes = new(StringComparer.Ordinal);

    public UpstreamWatermarks(IEnumerable<string> tasks)
    {
        _upstreams = [.. tasks.Order(StringComparer.Ordinal).Select(task => new Upstream { Task = task, Name = Encoding.UTF8.GetBytes(task), Watermark = WatermarkTracker.None })];
        for (var i = 0; i < _upstreams.Length; i++)
        {
            _indexes.Add(_upstreams[i].Task, i);
        }
    }

    /// <summary>How far event time has come, over all of them.</summary>
    public long Watermark { get; private set; } = WatermarkTracker.None;

    /// <summary>Whether some of them have not ended, and all of those are idle.</summary>
    public bool IsIdle { get; private set; }

    /// <summary>Whether all of them have ended; never without any, because nobody knows when what others write is all.</summary>
    public bool IsEnded { get; private set; }

    /// <summary>Takes a marker. False when it is from a task that is none of them, or says nothing new.</summary>
    public bool Take(string task, long watermark, bool isIdle)
    {
        if (!_indexes.TryGetValue(task, out var index))
        {
            return false;
        }

        ref var upstream = ref _upstreams[index];
        if (watermark <= upstream.Watermark && isIdle == upstream.IsIdle)
        {
            return false;
        }

        upstream.Watermark = Math.Max(upstream.Watermark, watermark);
        upstream.IsIdle = isIdle;
        Update();
        return true;
    }

    /// <summary>Writes a count int32, then of each that has said anything: its name as a block, watermark int64, flags byte (1 idle).</summary>
    public void Write(ByteBuffer to)
    {
        var countAt = to.Length;
        var count = 0;
        to.WriteInt32(0);
        foreach (ref readonly var upstream in _upstreams.AsSpan())
        {
            if (upstream.Watermark != WatermarkTracker.None || upstream.IsIdle)
            {
                to.WriteBlock(upstream.Name);
                to.WriteInt64(upstream.Watermark);
                to.WriteByte(upstream.IsIdle ? IdleFlag : (byte)0);
                count++;
            }
        }

        to.PatchInt32(countAt, count);
    }

    /// <summary>Takes up what was written.</summary>
    /// <param name="from">Where it stands.</param>
    /// <param name="watermark">What <see cref="Watermark"/> was: those that were idle then don't tell it.</param>
    public void Read(ref ByteReader from, long watermark)
    {
        for (var count = from.ReadCount(13); count > 0; count--)
        {
            var task = Encoding.UTF8.GetString(from.ReadBlock());
            var (said, flags) = (from.ReadInt64(), from.ReadByte());
            if (_indexes.TryGetValue(task, out var index))
            {
                _upstreams[index].Watermark = said;
                _upstreams[index].IsIdle = (flags & IdleFlag) != 0;
            }
        }

        Watermark = watermark;
        Update();
    }

    private void Update()
    {
        var minimum = WatermarkTracker.End;
        var furthestIdle = WatermarkTracker.None;
        var (ended, idle) = (0, 0);
        foreach (ref readonly var upstream in _upstreams.AsSpan())
        {
            ended += upstream.Watermark == WatermarkTracker.End ? 1 : 0;
            if (upstream.Watermark != WatermarkTracker.End && upstream.IsIdle)
            {
                idle++;
                furthestIdle = Math.Max(furthestIdle, upstream.Watermark);
            }

            minimum = upstream.IsIdle || upstream.Watermark < Watermark ? minimum : Math.Min(minimum, upstream.Watermark);
        }

        IsEnded = _upstreams.Length > 0 && ended == _upstreams.Length;
        IsIdle = idle > 0 && ended + idle == _upstreams.Length;
        if (IsIdle || minimum != WatermarkTracker.End || IsEnded)
        {
            Watermark = Math.Max(Watermark, IsIdle ? furthestIdle : minimum);
        }
    }

    private struct Upstream
    {
        public string Task;
        public byte[] Name;
        public long Watermark;
        public bool IsIdle;
    }
}
