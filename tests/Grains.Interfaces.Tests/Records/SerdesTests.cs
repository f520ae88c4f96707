using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Errors;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Records;

public class SerdesTests
{
    [Fact]
    public void Integers_are_big_endian()
    {
        Bytes(Serdes.Int32, 0x01020304).ShouldBe([1, 2, 3, 4]);
        Bytes(Serdes.Int64, -2).ShouldBe([255, 255, 255, 255, 255, 255, 255, 254]);
        Check.One(Config.QuickThrowOnFailure, Prop.ForAll<int>(ArbMap.Default.ArbFor<int>(), value => Serdes.Int32.Deserialize(Bytes(Serdes.Int32, value)) == value));
        Check.One(Config.QuickThrowOnFailure, Prop.ForAll<long>(ArbMap.Default.ArbFor<long>(), value => Serdes.Int64.Deserialize(Bytes(Serdes.Int64, value)) == value));
    }

    [Fact]
    public void Strings_are_UTF8_with_and_without_the_cache()
    {
        var cached = Serdes.Utf8Cached(4);
        foreach (var serde in new[] { Serdes.Utf8, cached })
        {
            Bytes(serde, "größe €").ShouldBe(Encoding.UTF8.GetBytes("größe €"));
            Check.One(
                Config.QuickThrowOnFailure.WithMaxTest(500),
                Prop.ForAll(ArbMap.Default.ArbFor<NonNull<string>>(), text =>
                {
                    var valid = RecordBatches.ValidUtf16(text.Get);
                    return serde.Deserialize(Bytes(serde, valid)) == valid;
                }));
        }

        cached.Name.ShouldBe(Serdes.Utf8.Name);
    }

    [Fact]
    public void The_cached_serde_gives_the_same_instance_again_without_allocation_and_right_strings_on_collisions()
    {
        var serde = Serdes.Utf8Cached(1); // every string collides
        var first = serde.Deserialize("ATL"u8);
        serde.Deserialize("ATL"u8).ShouldBeSameAs(first);
        var before = GC.GetAllocatedBytesForCurrentThread();
        serde.Deserialize("ATL"u8);
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBe(0);
        serde.Deserialize("ORD"u8).ShouldBe("ORD");
        serde.Deserialize("ATL"u8).ShouldBe("ATL");
        serde.Deserialize(Encoding.UTF8.GetBytes(new string('x', 500))).ShouldBe(new string('x', 500));
        serde.Deserialize(default).ShouldBe("");
        Should.Throw<StreamsException>(() => serde.Deserialize([0xff])).Code.ShouldBe(StreamsErrorCode.SerializationFailed);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(2_000_000)]
    public void A_cache_of_a_senseless_size_is_refused(int slots) =>
        Should.Throw<StreamsException>(() => Serdes.Utf8Cached(slots)).Code.ShouldBe(StreamsErrorCode.InvalidConfig);

    [Fact]
    public void Bytes_and_memory_are_copies()
    {
        byte[] source = [1, 2, 3];
        var bytes = Serdes.Bytes.Deserialize(source);
        var memory = Serdes.Memory.Deserialize(source);
        source[0] = 9;
        bytes.ShouldBe([1, 2, 3]);
        memory.ToArray().ShouldBe([1, 2, 3]);
        Bytes(Serdes.Bytes, bytes).ShouldBe(bytes);
        Bytes(Serdes.Memory, memory).ShouldBe(bytes);
    }

    [Fact]
    public void Json_uses_camel_case_unless_told_otherwise()
    {
        var web = Serdes.Json<Flight>();
        Encoding.UTF8.GetString(Bytes(web, new Flight("DTW", 7))).ShouldBe("""{"origin":"DTW","delay":7}""");
        web.Deserialize("""{"ORIGIN":"DTW","delay":7}"""u8).ShouldBe(new Flight("DTW", 7));
        var plain = Serdes.Json<Flight>(new JsonSerializerOptions { WriteIndented = true });
        Encoding.UTF8.GetString(Bytes(plain, new Flight("DTW", 7))).ShouldBe("{\n  \"Origin\": \"DTW\",\n  \"Delay\": 7\n}");
        Encoding.UTF8.GetString(Bytes(web, new Flight("é", 1))).ShouldBe("""{"origin":"\u00E9","delay":1}""");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(5)]
    [InlineData(8)]
    public void An_int32_of_another_length_is_a_typed_error(int length) => ShouldFail(Serdes.Int32, new byte[length], $"{length} bytes", "an int32 takes exactly 4");

    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    [InlineData(9)]
    public void An_int64_of_another_length_is_a_typed_error(int length) => ShouldFail(Serdes.Int64, new byte[length], $"{length} bytes", "an int64 takes exactly 8");

    [Theory]
    [InlineData("6162ff", 2)]
    [InlineData("c3", 0)] // cut off
    [InlineData("c080", 0)] // overlong
    [InlineData("61eda080", 1)] // surrogate
    public void Bytes_that_are_not_UTF8_are_a_typed_error_that_says_where(string hex, int at) =>
        ShouldFail(Serdes.Utf8, Convert.FromHexString(hex), "not UTF-8", $"byte {at.ToString(CultureInfo.InvariantCulture)} of");

    [Fact]
    public void Half_a_surrogate_pair_is_a_typed_error_when_written()
    {
        var error = Should.Throw<StreamsException>(() => Bytes(Serdes.Utf8, "ab\ud800"));
        error.Code.ShouldBe(StreamsErrorCode.SerializationFailed);
        error.Message.ShouldContain("index 2");
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("{\"delay\":\"many\"}")]
    [InlineData("{} {}")]
    public void Bytes_that_are_no_such_JSON_are_a_typed_error(string json) =>
        ShouldFail(Serdes.Json<Flight>(), Encoding.UTF8.GetBytes(json), "no JSON of Flight");

    [Fact]
    public void JSON_null_is_a_typed_error() => ShouldFail(Serdes.Json<Flight>(), "null"u8.ToArray(), "JSON null");

    [Fact]
    public void JSON_nested_without_end_is_a_typed_error() =>
        ShouldFail(Serdes.Json<object>(), Encoding.UTF8.GetBytes(new string('[', 100_000)), "no JSON of Object");

    [Fact]
    public void A_value_that_JSON_cannot_express_is_a_typed_error_and_the_serde_works_on()
    {
        var serde = Serdes.Json<double>();
        Should.Throw<StreamsException>(() => Bytes(serde, double.NaN)).Code.ShouldBe(StreamsErrorCode.SerializationFailed);
        Encoding.UTF8.GetString(Bytes(serde, 1.5)).ShouldBe("1.5");
        var loop = new Loop();
        loop.Next = loop;
        Should.Throw<StreamsException>(() => Bytes(Serdes.Json<Loop>(), loop)).Code.ShouldBe(StreamsErrorCode.SerializationFailed);
    }

    [Fact]
    public void A_converter_may_use_the_same_serde_while_it_is_in_use()
    {
        var options = new JsonSerializerOptions();
        options.Converters.Add(new NestingConverter());
        Encoding.UTF8.GetString(Bytes(Serdes.Json<int>(options), 7)).ShouldBe("\"inner 3\"");
    }

    private static byte[] Bytes<T>(ISerde<T> serde, T value)
    {
        var writer = new ArrayBufferWriter<byte>();
        serde.Serialize(value, writer);
        return writer.WrittenSpan.ToArray();
    }

    private static void ShouldFail<T>(ISerde<T> serde, byte[] data, params string[] parts)
    {
        var error = Should.Throw<StreamsException>(() => serde.Deserialize(data));
        error.Code.ShouldBe(StreamsErrorCode.SerializationFailed);
        foreach (var part in parts)
        {
            error.Message.ShouldContain(part);
        }
    }

    private sealed record Flight(string Origin, int Delay);

    private sealed class Loop
    {
        public Loop? Next { get; set; }
    }

    private sealed class NestingConverter : JsonConverter<int>
    {
        public override int Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.GetInt32();

        public override void Write(Utf8JsonWriter writer, int value, JsonSerializerOptions options) =>
            writer.WriteStringValue("inner " + Encoding.UTF8.GetString(Bytes(Serdes.Json<int>(), 3)));
    }
}
