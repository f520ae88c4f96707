using OrleansStreams.Processing.Journal;

namespace OrleansStreams.Processing.Sources;

/// <summary>How far a file source has read, and which file it was.</summary>
/// <param name="Bytes">Bytes read.</param>
/// <param name="Row">Lines read.</param>
/// <param name="Length">The file's length; -1 before the file was looked at.</param>
/// <param name="Checksum">CRC-32C over the file's first and last 64 KiB.</param>
internal sealed record FilePosition(long Bytes, long Row, long Length, long Checksum)
{
    public static FilePosition Beginning { get; } = new(0, 0, -1, 0);

    public bool IsIdentified => Length >= 0;

    public static FilePosition Read(ref EntryReader reader) => new(reader.Long(), reader.Long(), reader.Long(), reader.Long());

    public void Write(EntryWriter writer)
    {
        writer.Long(Bytes);
        writer.Long(Row);
        writer.Long(Length);
        writer.Long(Checksum);
    }
}
