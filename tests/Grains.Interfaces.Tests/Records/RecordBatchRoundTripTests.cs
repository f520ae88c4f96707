using System.Text;
using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Errors;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Records;

public class RecordBatchRoundTripTests
{
    private static readonly Config Quick = Config.QuickThrowOnFailure.WithMaxTest(150).WithReplay(2026, 11);

    [Theory]
    [InlineData(CompressionType.None)]
    [InlineData(CompressionType.Gzip)]
    [InlineData(CompressionType.Snappy)]
    public void What_was_appended_is_read_back_with_every_codec(CompressionType compression)
    {
        var records = Records().Generator.ListOf().Select(list => list.ToArray());
        Prop.ForAll(records.ToArbitrary(), given =>
        {
            if (given.Length == 0)
            {
                return;
            }

            var batch = RecordBatches.Build(given, compression);
            RecordBatch.Validate(batch, out var header).ShouldBe(StreamsErrorCode.None);
            header.RecordCount.ShouldBe(given.Length);
            header.LastOffsetDelta.ShouldBe(given.Length - 1);
            header.BaseTimestamp.ShouldBe(given[0].Timestamp);
            header.MaxTimestamp.ShouldBe(given.Max(record => record.Timestamp));
            header.TotalBytes.ShouldBe(batch.Length);
            header.Compression.ShouldBe(compression);
            RecordBatches.ReadAll(batch).Select(RecordBatches.Describe).ShouldBe(given.Select(RecordBatches.Describe));
        }).Check(Quick);
    }

    [Fact]
    public void Varints_of_every_size_are_read_back_and_sized_right()
    {
        var to = new byte[Varint.MaxBytes64];
        for (var bit = 0; bit < 64; bit++)
        {
            foreach (var value in new[] { 1L << bit, -(1L << bit), (1L << bit) - 1, long.MinValue, long.MaxValue, 0, -1 })
            {
                var end = Varint.Write(to, 0, value);
                end.ShouldBe(Varint.SizeOf(value));
                var at = 0;
                Varint.TryRead(to.AsSpan(0, end), ref at, out long read).ShouldBeTrue();
                (read, at).ShouldBe((value, end));
                var cut = 0;
                Varint.TryRead(to.AsSpan(0, end - 1), ref cut, out long _).ShouldBeFalse();

                var small = (int)value;
                var smallEnd = Varint.Write(to, 0, small);
                smallEnd.ShouldBe(Varint.SizeOf(small));
                at = 0;
                Varint.TryRead(to.AsSpan(0, smallEnd), ref at, out int readSmall).ShouldBeTrue();
                (readSmall, at).ShouldBe((small, smallEnd));
            }
        }
    }

    [Theory]
    [InlineData("808080808000")] // six bytes
    [InlineData("8080808010")] // bit 32 set
    [InlineData("ffffffff")] // cut off
    [InlineData("")]
    public void A_varint_that_is_too_long_or_cut_off_is_refused(string hex)
    {
        var at = 0;
        Varint.TryRead(Convert.FromHexString(hex), ref at, out int _).ShouldBeFalse();
        at.ShouldBe(0);
    }

    [Theory]
    [InlineData("8080808080808080808000")] // eleven bytes
    [InlineData("80808080808080808002")] // bit 64 set
    public void A_varlong_that_is_too_long_is_refused(string hex)
    {
        var at = 0;
        Varint.TryRead(Convert.FromHexString(hex), ref at, out long _).ShouldBeFalse();
        at.ShouldBe(0);
    }

    private static Arbitrary<TestRecord> Records()
    {
        var bytes = Gen.OneOf(
            Gen.Constant<byte[]?>(null),
            Gen.Constant<byte[]?>([]),
            ArbMap.Default.GeneratorFor<byte[]>().Select(value => (byte[]?)value),
            Gen.Choose(0, 5000).Select(length => (byte[]?)Encoding.UTF8.GetBytes(new string('x', length))));
        var timestamp = Gen.OneOf(
            Gen.Choose(0, int.MaxValue).Select(value => 1_700_000_000_000L + value),
            Gen.Elements(0L, -1L, long.MaxValue, long.MinValue));
        var header = from key in ArbMap.Default.GeneratorFor<NonNull<string>>()
                     from value in bytes
                     select new KeyValuePair<string, byte[]?>(RecordBatches.ValidUtf16(key.Get), value);
        var records = from at in timestamp
                      from key in bytes
                      from value in bytes
                      from headers in Gen.OneOf(Gen.Constant(new List<KeyValuePair<string, byte[]?>>()), header.ListOf().Select(list => list.ToList()))
                      select new TestRecord(at, key, value, headers);
        return records.ToArbitrary();
    }
}
