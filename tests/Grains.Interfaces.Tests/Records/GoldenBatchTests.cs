using System.Text;
using OrleansStreams.Errors;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Records;

public class GoldenBatchTests
{
    private const long Start = 1_700_000_000_000;

    private static readonly TestRecord[] Plain = [new(Start, "k1", "hello"), new(Start + 5, null, "world"), new(Start - 3, "", null)];
    private static readonly TestRecord[] Repetitive = [new(Start, "k1", "hello hello hello"), new(Start + 5, null, "world")];
    private static readonly TestRecord[] Pair = [new(Start, "a", "1"), new(Start + 1, "b", "2")];
    private static readonly TestRecord[] Long = [new(Start, "k", new string('x', 300)), new(Start + 100_000, "k2", "")];
    private static readonly TestRecord[] WithHeaders =
    [
        new(Start, Encoding.UTF8.GetBytes("k"), Encoding.UTF8.GetBytes("v"), [new("trace", [1, 2]), new("größe", null), new("empty", [])]),
    ];

    public static TheoryData<string> AllNames() => [.. GoldenBytes.Names()];

    [Theory]
    [MemberData(nameof(AllNames))]
    public void Every_golden_batch_is_valid_and_spans_the_whole_file(string name)
    {
        var batch = GoldenBytes.Read(name);
        RecordBatch.Validate(batch, out var header).ShouldBe(StreamsErrorCode.None);
        header.TotalBytes.ShouldBe(batch.Length);
        header.Magic.ShouldBe((byte)2);
    }

    [Fact]
    public void Every_golden_file_is_there() =>
        GoldenBytes.Names().ShouldBe([
            "compacted-log-append-time", "control-commit", "gzip", "headers", "idempotent", "long-varints", "plain", "snappy-block", "snappy-stream",
            "watermark-marker",
        ]);

    [Theory]
    [InlineData("plain")]
    [InlineData("headers")]
    [InlineData("long-varints")]
    [InlineData("idempotent")]
    [InlineData("gzip")]
    [InlineData("snappy-block")]
    [InlineData("snappy-stream")]
    public void The_records_of_the_golden_batches_are_read(string name) =>
        RecordBatches.ReadAll(GoldenBytes.Read(name)).Select(RecordBatches.Describe).ShouldBe(Expected(name).Select(RecordBatches.Describe));

    [Theory]
    [InlineData("plain")]
    [InlineData("headers")]
    [InlineData("long-varints")]
    public void The_builder_writes_exactly_the_golden_bytes(string name) => RecordBatches.Build(Expected(name)).ShouldBe(GoldenBytes.Read(name));

    [Fact]
    public void Builder_and_stamps_together_write_exactly_the_golden_bytes_of_a_stored_idempotent_batch()
    {
        var builder = new RecordBatchBuilder();
        foreach (var record in Pair)
        {
            RecordBatches.Append(builder, record);
        }

        var batch = builder.Build(producerId: 4711, producerEpoch: 3, baseSequence: 17);
        RecordBatch.StampOffsetAndEpoch(batch, 1000, 7);
        batch.ShouldBe(GoldenBytes.Read("idempotent"));

        var header = RecordBatchHeader.Read(batch);
        (header.ProducerId, header.ProducerEpoch, header.BaseSequence, header.LastSequence).ShouldBe((4711L, (short)3, 17, 18));
        (header.BaseOffset, header.LastOffset, header.NextOffset, header.LeaderEpoch).ShouldBe((1000L, 1001L, 1002L, 7));
        header.HasProducer.ShouldBeTrue();
    }

    [Fact]
    public void A_compacted_batch_keeps_its_gaps_and_LogAppendTime_replaces_the_records_own_times()
    {
        var reader = new RecordBatchReader(GoldenBytes.Read("compacted-log-append-time"));
        reader.Header.TimestampType.ShouldBe(TimestampType.LogAppendTime);
        reader.Header.NextOffset.ShouldBe(205);
        var seen = new List<(long, long, string)>();
        while (reader.TryRead(out var record))
        {
            seen.Add((record.Offset, record.Timestamp, Encoding.UTF8.GetString(record.Key)));
        }

        seen.ShouldBe([(201, Start + 50, "a"), (204, Start + 50, "b")]);
    }

    [Fact]
    public void A_commit_marker_is_a_control_batch_of_type_1_and_no_watermark()
    {
        var batch = GoldenBytes.Read("control-commit");
        var reader = new RecordBatchReader(batch);
        reader.Header.IsControl.ShouldBeTrue();
        reader.TryRead(out var record).ShouldBeTrue();
        ControlRecord.TryReadType(record.Key, out var type).ShouldBeTrue();
        type.ShouldBe(ControlRecord.CommitType);
        WatermarkMarker.TryRead(batch, out _, out _).ShouldBeFalse();
    }

    [Fact]
    public void The_watermark_marker_is_written_and_read_as_in_the_golden_bytes()
    {
        var batch = WatermarkMarker.BuildBatch("app/0_3/1", Start - 7_200_001, 12, 0, 40, Start);
        batch.ShouldBe(GoldenBytes.Read("watermark-marker"));
        WatermarkMarker.TryRead(batch, out var task, out var watermark).ShouldBeTrue();
        (task, watermark).ShouldBe(("app/0_3/1", Start - 7_200_001));
    }

    private static TestRecord[] Expected(string name) => name switch
    {
        "plain" => Plain,
        "headers" => WithHeaders,
        "long-varints" => Long,
        "idempotent" => Pair,
        _ => Repetitive,
    };
}
