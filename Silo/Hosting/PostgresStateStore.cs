using System.Globalization;
using EmbeddedOrleans.Storage;
using Orleans.Storage;
using OrleansStreams.Storage.Postgres;

namespace OrleansStreams.Silo.Hosting;

/// <summary>
/// Grain state in the same database as the logs, in both runtimes: a schema can change hands between them. It is registered before there are services, so
/// the database comes in later, before any grain runs.
/// </summary>
internal sealed class PostgresStateStore : IGrainStateStore
{
    private PostgresStates? states;

    private PostgresStates States => states ?? throw new InvalidOperationException("The grain state's database is not connected yet.");

    /// <summary>Says which database it is.</summary>
    public void Connect(PostgresDatabase database, Random random) => states = new PostgresStates(database, random);

    public async ValueTask<StoredGrainState?> ReadAsync(GrainStateAddress address) =>
        await States.ReadAsync(Of(address)) is { } stored ? new StoredGrainState(stored.Document, Tag(stored.Version)!) : null;

    public async ValueTask<string> WriteAsync(GrainStateAddress address, ReadOnlyMemory<byte> json, string? expectedEtag)
    {
        var write = await States.WriteAsync(Of(address), json, Version(expectedEtag));
        return write.IsDone ? Tag(write.Version)! : throw Inconsistent(address, Tag(write.Version), expectedEtag);
    }

    public async ValueTask ClearAsync(GrainStateAddress address, string? expectedEtag)
    {
        if (Version(expectedEtag) is { } expected)
        {
            if (await States.ClearAsync(Of(address), expected) is { IsDone: false } refused)
            {
                throw Inconsistent(address, Tag(refused.Version), expectedEtag);
            }
        }
        else if (await States.ReadAsync(Of(address)) is { } there)
        {
            throw Inconsistent(address, Tag(there.Version), expectedEtag);
        }
    }

    private static StateAddress Of(GrainStateAddress address) => new(address.GrainType, address.Key, address.StateName);

    private static long? Version(string? tag) => tag is null ? null : long.Parse(tag, CultureInfo.InvariantCulture);

    private static string? Tag(long? version) => version?.ToString(CultureInfo.InvariantCulture);

    private static InconsistentStateException Inconsistent(GrainStateAddress address, string? stored, string? expected) => new(
        $"The state {address} was changed by another writer: its tag is {stored ?? "none"}, this writer's is {expected ?? "none"}.", stored, expected);
}
