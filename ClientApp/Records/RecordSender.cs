using System.Globalization;
using System.Text.Json;
using System.Threading.Channels;
using OrleansStreams.ClientApp.Commands;
using OrleansStreams.ClientApp.Server;

namespace OrleansStreams.ClientApp.Records;

/// <summary>
/// Sends records in batches, one request at a time so that they keep their order. A batch is sent when it is full, or when no further line comes for a
/// moment, so that a source that is followed is sent as it speaks.
/// </summary>
internal sealed class RecordSender(StreamsServer server, string topic, string acks)
{
    private const int OriginalsMax = 1_000;
    private const int BatchRecords = 1_000;
    private const int BatchBytes = 1024 * 1024;
    private static readonly TimeSpan Linger = TimeSpan.FromMilliseconds(20);

    private readonly string path = StreamsServer.Path("topics", topic, "records") + StreamsServer.Query(("acks", acks));
    private readonly List<OutgoingRecord> batch = [];
    private int batchBytes;

    /// <summary>Records that the server has acknowledged.</summary>
    public long Sent { get; private set; }

    /// <summary>Those of them that were there before, by their idempotency keys: nothing was stored for them.</summary>
    public long Duplicates { get; private set; }

    /// <summary>The first of these: their lines, and where the originals stand.</summary>
    public List<(long Line, int Partition, long Offset, long Timestamp)> Originals { get; } = [];

    /// <summary>How many records went to each partition, and the offset of the last.</summary>
    public SortedDictionary<int, (long Records, long LastOffset)> Partitions { get; } = [];

    /// <summary>Sends everything that comes through the channel. When the channel ends with an error, what came before it is sent first.</summary>
    public async Task RunAsync(ChannelReader<OutgoingRecord> records, CancellationToken cancellation)
    {
        while (await MoreAsync(records, cancellation))
        {
            while (batch.Count < BatchRecords && batchBytes < BatchBytes && records.TryRead(out var record))
            {
                batch.Add(record);
                batchBytes += record.Json.Length;
            }

            if (batch.Count >= BatchRecords || batchBytes >= BatchBytes || !await MoreSoonAsync(records))
            {
                await SendAsync(cancellation);
            }
        }

        if (batch.Count > 0)
        {
            await SendAsync(cancellation);
        }
    }

    /// <summary>The error of the channel is left for the caller, who asks for it when all is sent.</summary>
    private static async ValueTask<bool> MoreAsync(ChannelReader<OutgoingRecord> records, CancellationToken cancellation)
    {
        try
        {
            return await records.WaitToReadAsync(cancellation);
        }
        catch (CommandFailedException)
        {
            return false;
        }
    }

    private static async Task<bool> MoreSoonAsync(ChannelReader<OutgoingRecord> records)
    {
        try
        {
            return await records.WaitToReadAsync().AsTask().WaitAsync(Linger);
        }
        catch (Exception exception) when (exception is TimeoutException or CommandFailedException)
        {
            return false;
        }
    }

    private async Task SendAsync(CancellationToken cancellation)
    {
        try
        {
            var answer = await server.PostBytesAsync(path, Body(), cancellation);
            var index = 0;
            foreach (var delivery in answer.EnumerateArray())
            {
                var partition = delivery.GetProperty("partition").GetInt32();
                var line = batch[index++].Line;
                if (delivery.TryGetProperty("duplicate", out var duplicate) && duplicate.GetBoolean())
                {
                    Duplicates++;
                    if (Originals.Count < OriginalsMax)
                    {
                        Originals.Add((line, partition, delivery.Long("offset"), delivery.Long("timestamp")));
                    }

                    continue;
                }

                var before = Partitions.GetValueOrDefault(partition);
                Partitions[partition] = (before.Records + 1, delivery.Long("offset"));
            }

            Sent += batch.Count;
            batch.Clear();
            batchBytes = 0;
        }
        catch (ServerException exception)
        {
            Sent += exception.Number("delivered") ?? 0;
            var line = batch[(int)Math.Clamp(exception.Number("index") ?? 0, 0, batch.Count - 1)].Line;
            var written = string.Create(CultureInfo.InvariantCulture, $"{Sent} record(s) were written before");
            throw new CommandFailedException($"line {line}: {exception.Message} ({written}.)");
        }
    }

    private byte[] Body()
    {
        using var buffer = new MemoryStream(batchBytes + (batch.Count * 2) + 32);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteStartArray("records"u8);
            foreach (var record in batch)
            {
                writer.WriteRawValue(record.Json, skipInputValidation: true);
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        return buffer.ToArray();
    }
}
