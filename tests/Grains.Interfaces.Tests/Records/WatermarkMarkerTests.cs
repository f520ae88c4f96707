using OrleansStreams.Errors;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Records;

public class WatermarkMarkerTests
{
    [Theory]
    [InlineData("", 0)]
    [InlineData("flight-delays/1/0", 978_307_200_000)]
    [InlineData("größe", long.MinValue)]
    [InlineData("app/0_0/3", WatermarkMarker.EndOfInput)]
    public void A_marker_is_read_back_with_its_producer(string task, long watermark)
    {
        var batch = WatermarkMarker.BuildBatch(task, watermark, 77, 5, 1000, 123);
        RecordBatch.Validate(batch, out var header).ShouldBe(StreamsErrorCode.None);
        (header.IsControl, header.ProducerId, header.ProducerEpoch, header.BaseSequence, header.RecordCount, header.MaxTimestamp)
            .ShouldBe((true, 77L, (short)5, 1000, 1, 123L));
        WatermarkMarker.TryRead(batch, out var readTask, out var readWatermark).ShouldBeTrue();
        (readTask, readWatermark).ShouldBe((task, watermark));
    }

    [Fact]
    public void An_ordinary_batch_with_the_same_bytes_is_no_marker()
    {
        var builder = new RecordBatchBuilder();
        builder.Append(1, [0, 0, 0, 100], false, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], false);
        WatermarkMarker.TryRead(builder.Build(), out var task, out var watermark).ShouldBeFalse();
        (task, watermark).ShouldBe(("", 0));
    }

    [Theory]
    [InlineData("00000065")] // type 101
    [InlineData("00000001")] // commit
    [InlineData("000064")] // too short
    [InlineData("ffff0064")] // version below zero
    [InlineData("")]
    public void Unknown_control_records_are_told_apart_so_that_readers_skip_them(string key)
    {
        var builder = new RecordBatchBuilder();
        builder.Append(1, Convert.FromHexString(key), false, default, true);
        WatermarkMarker.TryRead(builder.Build(isControl: true), out _, out _).ShouldBeFalse();
    }

    [Theory]
    [InlineData("")]
    [InlineData("0000")]
    [InlineData("00000001410000000000000000")] // one byte short of the name and the watermark together
    [InlineData("0000ffff0000000000000000")] // name length negative
    [InlineData("ffff00000000000000000000")] // version negative
    public void A_marker_whose_value_is_damaged_is_a_typed_error_not_skipped(string value)
    {
        var bytes = Convert.FromHexString(value);
        var builder = new RecordBatchBuilder();
        builder.Append(1, [0, 0, 0, 100], false, bytes.AsSpan(0, Math.Min(bytes.Length, 12)), false);
        var batch = builder.Build(isControl: true);
        Should.Throw<StreamsException>(() => WatermarkMarker.TryRead(batch, out _, out _)).Code.ShouldBe(StreamsErrorCode.CorruptBatch);
    }

    [Fact]
    public void A_marker_of_a_later_version_may_carry_more_after_the_known_fields()
    {
        var builder = new RecordBatchBuilder();
        builder.Append(1, [0, 1, 0, 100, 9, 9], false, [0, 1, 0, 1, 65, 0, 0, 0, 0, 0, 0, 0, 42, 1, 2, 3], false);
        WatermarkMarker.TryRead(builder.Build(isControl: true), out var task, out var watermark).ShouldBeTrue();
        (task, watermark).ShouldBe(("A", 42));
    }

    [Fact]
    public void A_task_name_that_no_length_field_can_hold_is_refused() =>
        Should.Throw<StreamsException>(() => WatermarkMarker.BuildBatch(new string('x', 40_000), 0, 1, 0, 0, 0)).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
}
