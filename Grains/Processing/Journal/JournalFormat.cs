using System.Text;
using OrleansStreams.Log;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Processing.State;

namespace OrleansStreams.Processing.Journal;

/// <summary>
/// The journal entry: one commit of a task, the value of the only record of one record batch. Little-endian; a block is a length int32 and its bytes.
/// <code>
///  magic int32 = "OSJE" | version int32 = 3 | flags int32 (1 has file, 4 begins snapshot, 8 snapshot part, 16 ends snapshot)
///  fingerprint int64 | producer id int64 | commit int64 | records in int64 | records out int64 | late records int64
///  skipped records int64 | dead letters int64 | task watermark int64 | clock int64
///  input count int32 (1 for a file); per input: max event time int64 | watermark int64 | idle byte
///  topic count int32; per topic: position int64 | upstream tasks (see UpstreamWatermarks) | state of its watermark generator, a block
///  outputs' watermarks (see OutputWatermarks)
///  has file: offset int64 | line int64 | length int64 | hash int64
///  sequence count int32; per sequence: output topic int32 | partition int32 | next sequence int32      (changed ones; all when a snapshot begins)
///  dead-letter sequence count int32; per sequence: topic block | partition int32 | next sequence int32                (the same)
///  store count int32; per store: schema version int32 | operation count int32 | operations (see the stores)
///  snapshot part: per part: store int32 | schema version int32 | operation count int32 | operations; -1 at the end
///  outbox count int32; per item: topic block | partition int32 | records int32 | batches block
/// </code>
/// Every entry names the fingerprint and the producer, so that any entry can be the journal's first.
/// </summary>
internal static class JournalFormat
{
    public const int Magic = 0x454A534F;
    public const int Version = 3;

    [Flags]
    private enum EntryFlags
    {
        HasFile = 1,
        BeginsSnapshot = 4,
        SnapshotPart = 8,
        EndsSnapshot = 16,
    }

    /// <summary>Writes an entry.</summary>
    /// <returns>Whether it begins and whether it ends a snapshot.</returns>
    public static (bool Begins, bool Ends) Write(ByteBuffer to, TaskEngine engine, IReadOnlyList<OutboxItem> outbox, TaskSnapshots snapshots)
    {
        var state = engine.State;
        to.WriteInt32(Magic);
        to.WriteInt32(Version);
        var flagsAt = to.Length;
        to.WriteInt32(0);
        to.WriteInt64(Fingerprint(engine.Plan.SubTopology.Shape));
        to.WriteInt64(engine.Outbox.ProducerId);
        to.WriteInt64(state.Commit);
        to.WriteInt64(state.RecordsIn);
        to.WriteInt64(engine.Outbox.Records);
        to.WriteInt64(engine.Context.LateRecords);
        to.WriteInt64(engine.Context.SkippedRecords);
        to.WriteInt64(state.DeadLetters);
        to.WriteInt64(engine.Watermarks.Watermark);
        to.WriteInt64(engine.Context.ClockMs);
        WriteInputs(to, engine);
        engine.OutputWatermarks.Write(to);
        var flags = (EntryFlags)0;
        if (state.File is { } file)
        {
            flags |= EntryFlags.HasFile;
            to.WriteInt64(file.Offset);
            to.WriteInt64(file.Line);
            to.WriteInt64(file.Length);
            to.WriteInt64((long)file.Hash);
        }

        var begins = snapshots.TryBegin();
        engine.Outbox.WriteSequences(to, begins ? null : outbox);
        to.WriteInt32(engine.Stores.Length);
        foreach (var store in engine.Stores)
        {
            to.WriteInt32(store.SchemaVersion);
            var countAt = to.Length;
            to.WriteInt32(0);
            var opsAt = to.Length;
            var count = store.DrainOps(to);
            to.PatchInt32(countAt, count);
            engine.Feeds.Take(store, to.From(opsAt).Span, count, state.Commit);
        }

        var ends = false;
        if (snapshots.IsUnderWay)
        {
            ends = snapshots.WritePart(to, to.Span.Length);
            flags |= EntryFlags.SnapshotPart | (ends ? EntryFlags.EndsSnapshot : 0) | (begins ? EntryFlags.BeginsSnapshot : 0);
        }

        // Only who processes exactly once delivers it after a crash.
        WriteOutbox(to, engine.Plan.Guarantee == ProcessingGuarantee.ExactlyOnce ? outbox : []);
        to.PatchInt32(flagsAt, (int)flags);
        return (begins, ends);
    }

    /// <summary>Applies an entry.</summary>
    /// <returns>Its outbox.</returns>
    public static IReadOnlyList<OutboxItem> Read(ReadOnlySpan<byte> entry, TaskEngine engine)
    {
        var from = new ByteReader(entry);
        if (from.ReadInt32() != Magic)
        {
            throw ByteReader.Damaged();
        }

        var version = from.ReadInt32();
        if (version != Version)
        {
            throw Incompatible(engine, $"was written in format {version}, this version reads {Version}: run the version that wrote it, or process anew. {ApplicationNames.ProcessAnew(engine.Plan.Application)}");
        }

        var flags = (EntryFlags)from.ReadInt32();
        if (from.ReadInt64() != Fingerprint(engine.Plan.SubTopology.Shape))
        {
            throw Incompatible(engine, $"belongs to another topology (its steps, topics, windows, store names or serdes have changed): restore the old topology, or process anew with the new one. {ApplicationNames.ProcessAnew(engine.Plan.Application)}");
        }

        var state = engine.State;
        engine.Outbox.ProducerId = from.ReadInt64();
        state.Commit = from.ReadInt64();
        state.RecordsIn = from.ReadInt64();
        engine.Outbox.Records = from.ReadInt64();
        engine.Context.LateRecords = from.ReadInt64();
        engine.Context.SkippedRecords = from.ReadInt64();
        state.DeadLetters = from.ReadInt64();
        engine.Watermarks.RestoreTask(from.ReadInt64());
        engine.Context.ClockMs = from.ReadInt64();
        ReadInputs(ref from, engine);
        engine.OutputWatermarks.Read(ref from);
        state.File = flags.HasFlag(EntryFlags.HasFile) ? new FilePosition(from.ReadInt64(), from.ReadInt64(), from.ReadInt64(), (ulong)from.ReadInt64()) : null;
        engine.Outbox.ReadSequences(ref from);
        if (from.ReadInt32() != engine.Stores.Length)
        {
            throw ByteReader.Damaged();
        }

        foreach (var store in engine.Stores)
        {
            ReadOps(ref from, engine, store);
        }

        if (flags.HasFlag(EntryFlags.SnapshotPart))
        {
            ReadSnapshotPart(ref from, engine);
        }

        var outbox = ReadOutbox(ref from);
        return from.IsAtEnd ? outbox : throw ByteReader.Damaged();
    }

    /// <summary>FNV-1a, 64 bits: stable over processes and versions.</summary>
    public static long Fingerprint(string shape)
    {
        var hash = 14695981039346656037UL;
        foreach (var b in Encoding.UTF8.GetBytes(shape))
        {
            hash = unchecked((hash ^ b) * 1099511628211UL);
        }

        return (long)hash;
    }

    private static void WriteInputs(ByteBuffer to, TaskEngine engine)
    {
        var watermarks = engine.Watermarks;
        to.WriteInt32(watermarks.InputCount);
        for (var input = 0; input < watermarks.InputCount; input++)
        {
            to.WriteInt64(watermarks.MaxEventTimeOf(input));
            to.WriteInt64(watermarks.WatermarkOf(input));
            to.WriteByte(watermarks.IsIdle(input) ? (byte)1 : (byte)0);
        }

        to.WriteInt32(engine.State.Positions.Length);
        for (var topic = 0; topic < engine.State.Positions.Length; topic++)
        {
            to.WriteInt64(Math.Max(engine.State.Positions[topic], engine.State.Claims[topic]));
            engine.Upstreams[topic].Write(to);
            var lengthAt = to.Length;
            to.WriteInt32(0);
            engine.Sources[topic].SaveGenerator(to);
            to.PatchInt32(lengthAt, to.Length - lengthAt - sizeof(int));
        }
    }

    private static void ReadInputs(ref ByteReader from, TaskEngine engine)
    {
        var watermarks = engine.Watermarks;
        if (from.ReadInt32() != watermarks.InputCount)
        {
            throw ByteReader.Damaged();
        }

        for (var input = 0; input < watermarks.InputCount; input++)
        {
            watermarks.RestoreInput(input, from.ReadInt64(), from.ReadInt64(), from.ReadByte() != 0);
        }

        if (from.ReadInt32() != engine.State.Positions.Length)
        {
            throw ByteReader.Damaged();
        }

        for (var topic = 0; topic < engine.State.Positions.Length; topic++)
        {
            engine.State.Positions[topic] = from.ReadInt64();
            engine.Upstreams[topic].Read(ref from, watermarks.WatermarkOf(topic));
            var generator = from.ReadBlock();
            if (!generator.IsEmpty)
            {
                engine.Sources[topic].RestoreGenerator(generator);
            }
        }
    }

    private static void ReadSnapshotPart(ref ByteReader from, TaskEngine engine)
    {
        for (var store = from.ReadInt32(); store != -1; store = from.ReadInt32())
        {
            if ((uint)store >= (uint)engine.Stores.Length)
            {
                throw ByteReader.Damaged();
            }

            ReadOps(ref from, engine, engine.Stores[store]);
        }
    }

    private static void ReadOps(ref ByteReader from, TaskEngine engine, IStateStore store)
    {
        var schema = from.ReadInt32();
        if (schema != store.SchemaVersion)
        {
            throw Incompatible(engine, $"has store '{store.Name}' in schema {schema}, this version reads {store.SchemaVersion}: run the version that wrote it, or process anew. {ApplicationNames.ProcessAnew(engine.Plan.Application)}");
        }

        store.Apply(ref from, from.ReadInt32());
    }

    private static void WriteOutbox(ByteBuffer to, IReadOnlyList<OutboxItem> outbox)
    {
        to.WriteInt32(outbox.Count);
        foreach (var item in outbox)
        {
            to.WriteBlock(Encoding.UTF8.GetBytes(item.Partition.Topic));
            to.WriteInt32(item.Partition.Partition);
            to.WriteInt32(item.Records);
            to.WriteBlock(item.Batches.Span);
        }
    }

    private static List<OutboxItem> ReadOutbox(ref ByteReader from)
    {
        var outbox = new List<OutboxItem>();
        for (var count = from.ReadCount(16); count > 0; count--)
        {
            var partition = new TopicPartition(Encoding.UTF8.GetString(from.ReadBlock()), from.ReadInt32());
            outbox.Add(new OutboxItem(partition, from.ReadInt32(), from.ReadBlock().ToArray()));
        }

        return outbox;
    }

    private static StreamsException Incompatible(TaskEngine engine, string why) => new(
        StreamsErrorCode.IncompatibleState, $"The state of application '{engine.Plan.Application}', task {engine.Plan.TaskId}, {why}");
}
