using System.Buffers.Binary;
using System.Diagnostics;
using OrleansStreams.Errors;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Records;

/// <summary>Whatever the bytes: a result or a typed error, in bounded time. A failure prints the seed and the input.</summary>
public class RecordBatchFuzzTests
{
    private const int Seed = 20261121;

    private static readonly byte[] Interesting = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff];

    [Fact]
    public void Random_bytes_never_crash_or_hang_the_reader()
    {
        var random = new Random(Seed);
        var outcome = new Outcome();
        for (var i = 0; i < 120_000; i++)
        {
            var data = new byte[random.Next(200)];
            random.NextBytes(data);
            if (data.Length >= RecordBatchHeader.Size && i % 4 != 0)
            {
                PretendToBeABatch(random, data);
            }

            outcome.Feed(data, i);
        }

        outcome.Refused.ShouldBeGreaterThan(60_000);
        outcome.Opened.ShouldBeGreaterThan(1_000); // or else the record parser was never reached
        outcome.Slowest.ShouldBeLessThan(TimeSpan.FromSeconds(5));
    }

    [Fact]
    public void Mutated_batches_of_every_codec_never_crash_or_hang_the_reader()
    {
        var random = new Random(Seed + 1);
        byte[][] samples = [.. GoldenBytes.Names().Select(GoldenBytes.Read)];
        var outcome = new Outcome();
        for (var i = 0; i < 150_000; i++)
        {
            outcome.Feed(Mutate(random, samples[random.Next(samples.Length)]), i);
        }

        outcome.Refused.ShouldBeGreaterThan(20_000);
        outcome.Opened.ShouldBeGreaterThan(20_000);
        outcome.ReadToTheEnd.ShouldBeGreaterThan(1_000);
        outcome.Slowest.ShouldBeLessThan(TimeSpan.FromSeconds(5));
    }

    private static void PretendToBeABatch(Random random, byte[] data)
    {
        data[RecordBatchHeader.BaseOffsetAt] &= 0x7f;
        data[RecordBatchHeader.MagicAt] = 2;
        data[RecordBatchHeader.AttributesAt + 1] = (byte)(random.Next(4) == 0 ? random.Next(8) : 0);
        BinaryPrimitives.WriteInt32BigEndian(data.AsSpan(RecordBatchHeader.LengthAt), data.Length - RecordBatchHeader.LeaderEpochAt);
        BinaryPrimitives.WriteInt32BigEndian(data.AsSpan(RecordBatchHeader.LastOffsetDeltaAt), random.Next(100));
        BinaryPrimitives.WriteInt32BigEndian(data.AsSpan(RecordBatchHeader.RecordCountAt), random.Next(4));
        for (var at = RecordBatchHeader.Size; at < data.Length; at++)
        {
            data[at] = random.Next(3) == 0 ? data[at] : (byte)random.Next(12); // small numbers get past more checks
        }
    }

    private static byte[] Mutate(Random random, byte[] sample)
    {
        var bytes = new List<byte>(sample);
        for (var n = random.Next(1, 4); n > 0 && bytes.Count > 0; n--)
        {
            // Mostly in the records, which the header checks do not guard.
            var from = bytes.Count > RecordBatchHeader.Size && random.Next(4) != 0 ? RecordBatchHeader.Size : 0;
            var at = random.Next(from, bytes.Count);
            switch (random.Next(6))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = Interesting[random.Next(Interesting.Length)];
                    break;
                case 2:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 3:
                    bytes.RemoveRange(at, random.Next(1, Math.Min(8, bytes.Count - at) + 1));
                    break;
                case 4:
                    bytes.Insert(at, Interesting[random.Next(Interesting.Length)]);
                    break;
                default:
                    bytes.InsertRange(at, bytes.GetRange(at, random.Next(1, Math.Min(16, bytes.Count - at) + 1)));
                    break;
            }
        }

        var data = bytes.ToArray();
        if (data.Length >= RecordBatchHeader.Size && random.Next(4) != 0)
        {
            BinaryPrimitives.WriteInt32BigEndian(data.AsSpan(RecordBatchHeader.LengthAt), data.Length - RecordBatchHeader.LeaderEpochAt);
            RecordBatch.StampCrc(data);
        }

        return data;
    }

    private sealed class Outcome
    {
        public int Opened { get; private set; }

        public int Refused { get; private set; }

        public int ReadToTheEnd { get; private set; }

        public TimeSpan Slowest { get; private set; }

        public void Feed(byte[] data, int index)
        {
            var started = Stopwatch.GetTimestamp();
            try
            {
                var code = RecordBatch.Validate(data, out _);
                code.ShouldBeOneOf(StreamsErrorCode.None, StreamsErrorCode.CorruptBatch, StreamsErrorCode.UnsupportedCompressionType);
                Read(data);
                ReadToTheEnd++;
                WatermarkMarker.TryRead(data, out _, out _);
            }
            catch (StreamsException e) when (e.Code is StreamsErrorCode.CorruptBatch or StreamsErrorCode.UnsupportedCompressionType)
            {
                Refused++;
            }
            catch (Exception e) when (e is not ShouldAssertException)
            {
                throw new InvalidOperationException($"Seed {Seed}, input {index}: {Convert.ToHexString(data)}", e);
            }

            var took = Stopwatch.GetElapsedTime(started);
            Slowest = took > Slowest ? took : Slowest;
        }

        private void Read(byte[] data)
        {
            var reader = new RecordBatchReader(data);
            Opened++;
            long lastOffset = -1;
            var count = 0;
            while (reader.TryRead(out var record))
            {
                record.Offset.ShouldBeGreaterThan(lastOffset);
                lastOffset = record.Offset;
                count++;
                (record.Key.Length + record.Value.Length + record.KeyMemory.Length + record.ValueMemory.Length).ShouldBeGreaterThanOrEqualTo(0);
                record.GetHeaders().Length.ShouldBe(record.HeaderCount);
            }

            count.ShouldBe(reader.Header.RecordCount);
        }
    }
}
