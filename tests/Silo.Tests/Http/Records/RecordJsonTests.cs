using System.Buffers;
using System.Text;
using System.Text.Json;
using OrleansStreams.Records;
using OrleansStreams.Silo.Http.Records;

namespace OrleansStreams.Silo.Tests.Http.Records;

public class RecordJsonTests
{
    [Theory]
    [InlineData("""{"value":"a\u00e4"}""", "aä")]
    [InlineData("""{"value":{"n": [1, 2.50]}}""", """{"n": [1, 2.50]}""")]
    [InlineData("""{"value":12}""", "12")]
    [InlineData("""{"value":true}""", "true")]
    [InlineData("""{"value":"x","valueEncoding":"json"}""", "\"x\"")]
    [InlineData("""{"value":null,"valueEncoding":"json"}""", "null")]
    [InlineData("""{"value":"aGk=","valueEncoding":"base64"}""", "hi")]
    [InlineData("""{"value":""}""", "")]
    public void A_value_is_read_by_its_encoding(string json, string expected) => Encoding.UTF8.GetString(Read(json).Value!).ShouldBe(expected);

    [Fact]
    public void A_null_value_is_a_tombstone_and_an_absent_key_is_none()
    {
        var record = Read("""{"value":null}""");

        record.Value.ShouldBeNull();
        record.Key.ShouldBeNull();
        record.Partition.ShouldBeNull();
        record.Timestamp.ShouldBeNull();
    }

    [Fact]
    public void Headers_may_be_an_object_or_an_array_and_null_values_stay_null()
    {
        Read("""{"value":1,"headers":{"a":"1","b":null}}""").Headers.Select(Text).ShouldBe(["a=1", "b=null"]);
        Read("""{"value":1,"headers":[{"key":"a","value":"aGk=","encoding":"base64"},{"key":"a","value":"2"},{"key":"c"}]}""").Headers.Select(Text)
            .ShouldBe(["a=hi", "a=2", "c=null"]);

        static string Text(RecordHeader header) => $"{header.Key}={(header.Value is { } value ? Encoding.UTF8.GetString(value.Span) : "null")}";
    }

    [Theory]
    [InlineData("""{"value":1,"timestamp":978307200000}""")]
    [InlineData("""{"value":1,"timestamp":"2001-01-01T00:00:00Z"}""")]
    [InlineData("""{"value":1,"timestamp":"2001-01-01T01:00:00+01:00"}""")]
    [InlineData("""{"value":1,"timestamp":"2001-01-01"}""")]
    public void A_timestamp_is_milliseconds_or_ISO_8601_read_as_UTC(string json) => Read(json).Timestamp.ShouldBe(978307200000);

    [Theory]
    [InlineData("""[1]""", "place is an array")]
    [InlineData("""{"key":"a"}""", "no value")]
    [InlineData("""{"value":1,"vaule":2}""", "field 'vaule'")]
    [InlineData("""{"value":1,"valueEncoding":"utf8"}""", "place.value is a number")]
    [InlineData("""{"value":"%","valueEncoding":"base64"}""", "place.value is not base64")]
    [InlineData("""{"value":"x","valueEncoding":"hex"}""", "'hex'")]
    [InlineData("""{"value":1,"partition":-1}""", "place.partition is -1")]
    [InlineData("""{"value":1,"partition":"0"}""", "place.partition")]
    [InlineData("""{"value":1,"timestamp":-5}""", "place.timestamp is -5")]
    [InlineData("""{"value":1,"timestamp":"yesterday"}""", "'yesterday'")]
    [InlineData("""{"value":1,"headers":"a"}""", "place.headers is a string")]
    [InlineData("""{"value":1,"headers":[{"value":"a"}]}""", "place.headers[0] has no key")]
    [InlineData("""{"value":"\ud800"}""", "Unicode")]
    public void A_mistake_is_refused_with_its_place(string json, string expected) =>
        Should.Throw<StreamsException>(() => Read(json)).Message.ShouldContain(expected);

    [Theory]
    [InlineData("plain", "auto", """{"value":"plain"}""")]
    [InlineData("{\"a\":1}", "json", """{"value":{"a":1},"valueEncoding":"json"}""")]
    [InlineData("{\"a\":1}", "auto", """{"value":"{\"a\":1}"}""")]
    [InlineData("{\"a\":1", "json", """{"value":"{\"a\":1"}""")]
    [InlineData("{\"a\":\n1}", "json", """{"value":"{\"a\":\n1}"}""")]
    [InlineData("hi", "base64", """{"value":"aGk=","valueEncoding":"base64"}""")]
    public void A_value_is_written_so_that_it_can_be_read_back(string value, string encoding, string expected)
    {
        var bytes = Encoding.UTF8.GetBytes(value);
        var json = Write(bytes, RecordJsonWriter.EncodingOf(encoding));

        JsonElement.DeepEquals(JsonDocument.Parse(json).RootElement, JsonDocument.Parse(expected).RootElement).ShouldBeTrue(json);
        Read(json).Value.ShouldBe(bytes);
    }

    [Fact]
    public void Bytes_that_are_no_text_are_written_as_base64()
    {
        byte[] bytes = [0xff, 0x00, 0xc3];

        Read(Write(bytes, ValueEncoding.Auto)).Value.ShouldBe(bytes);
        Read(Write(bytes, ValueEncoding.Json)).Value.ShouldBe(bytes);
        Read(Write([(byte)'"', 0xff, (byte)'"'], ValueEncoding.Json)).Value.ShouldBe([(byte)'"', 0xff, (byte)'"']);
    }

    private static RecordItem Read(string json)
    {
        using var document = JsonDocument.Parse(json);
        return RecordJsonReader.Read(document.RootElement, "place");
    }

    private static string Write(byte[] bytes, ValueEncoding encoding)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            RecordJsonWriter.WriteField(writer, "value", "valueEncoding", bytes, isNull: false, encoding);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }
}
