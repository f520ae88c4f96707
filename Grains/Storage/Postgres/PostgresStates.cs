using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Npgsql;
using NpgsqlTypes;

namespace OrleansStreams.Storage.Postgres;

/// <summary>The address of a small document: three names, of any length and characters.</summary>
internal readonly record struct StateAddress(string Kind, string Key, string Name)
{
    /// <summary>SHA-256 over the names, each behind its length, so that no two addresses look alike.</summary>
    public byte[] Digest()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> length = stackalloc byte[4];
        foreach (var part in (ReadOnlySpan<string>)[Kind, Key, Name])
        {
            var bytes = Encoding.UTF8.GetBytes(part);
            BinaryPrimitives.WriteInt32BigEndian(length, bytes.Length);
            hash.AppendData(length);
            hash.AppendData(bytes);
        }

        return hash.GetHashAndReset();
    }

    /// <summary>For people who look into the table.</summary>
    public string Text => $"{Kind}/{Key}/{Name}".Replace('\0', '\uFFFD');
}

/// <summary>What became of a write of a state.</summary>
/// <param name="IsDone">Whether it was done.</param>
/// <param name="Version">The version that is stored now; null when nothing is.</param>
internal readonly record struct StateWrite(bool IsDone, long? Version);

/// <summary>
/// Small documents with versions that never come back, for hosts that keep grain state beside the logs. Each write carries an id: after a lost connection
/// it is sent again and does nothing when it finds itself done.
/// </summary>
internal sealed class PostgresStates(PostgresDatabase database, Random random)
{
    private const string InsertSql =
        """
        INSERT INTO states AS s (digest, address, version, write_id, document) VALUES ($1, $2, 1, $3, $4)
        ON CONFLICT (digest) DO UPDATE SET version = s.version + 1, write_id = EXCLUDED.write_id, document = EXCLUDED.document WHERE s.document IS NULL
        RETURNING version
        """;

    private const string UpdateSql =
        "UPDATE states SET version = version + 1, write_id = $2, document = $3 WHERE digest = $1 AND version = $4 AND document IS NOT NULL RETURNING version";

    private const string ClearSql = "UPDATE states SET write_id = $2, document = NULL WHERE digest = $1 AND version = $3 AND document IS NOT NULL RETURNING version";

    private const string LookSql = "SELECT CASE WHEN document IS NULL THEN NULL ELSE version END, write_id = $2, version FROM states WHERE digest = $1";

    /// <summary>The document and its version, or null.</summary>
    public Task<(byte[] Document, long Version)?> ReadAsync(StateAddress address) => GuardAsync(address, WriteOutcome.NotAWrite, () => database.RunAsync<(byte[], long)?>(async connection =>
    {
        await using var command = new NpgsqlCommand("SELECT document, version FROM states WHERE digest = $1 AND document IS NOT NULL", connection)
        {
            Parameters = { Bytes(address.Digest()) },
        };
        await using var reader = await command.ExecuteReaderAsync();
        return await reader.ReadAsync() ? (reader.GetFieldValue<byte[]>(0), reader.GetInt64(1)) : null;
    }));

    /// <summary>Stores a document when the stored version is the expected one (null: when there is none).</summary>
    public Task<StateWrite> WriteAsync(StateAddress address, ReadOnlyMemory<byte> document, long? expected)
    {
        // The caller's memory is its own again at the first await.
        var copy = document.ToArray();
        return ChangeAsync(
            address,
            (digest, id) => expected is { } version
                ? (UpdateSql, [Bytes(digest), Id(id), Bytes(copy), LogStatements.Value(version)])
                : (InsertSql, [Bytes(digest), new NpgsqlParameter<string> { TypedValue = address.Text }, Id(id), Bytes(copy)]));
    }

    /// <summary>Removes a document of the expected version.</summary>
    public Task<StateWrite> ClearAsync(StateAddress address, long expected) =>
        ChangeAsync(address, (digest, id) => (ClearSql, [Bytes(digest), Id(id), LogStatements.Value(expected)]));

    private Task<StateWrite> ChangeAsync(StateAddress address, Func<byte[], Guid, (string Sql, NpgsqlParameter[] Parameters)> change)
    {
        var digest = address.Digest();
        var id = NewId();
        return GuardAsync(address, WriteOutcome.Unknown, () => database.RunAsync(async connection =>
        {
            var (sql, parameters) = change(digest, id);

            // The constants above.
#pragma warning disable CA2100
            await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
            command.Parameters.AddRange(parameters);
            if (await command.ExecuteScalarAsync() is long version)
            {
                return new StateWrite(true, version);
            }

            await using var look = new NpgsqlCommand(LookSql, connection) { Parameters = { Bytes(digest), Id(id) } };
            await using var reader = await look.ExecuteReaderAsync();
            if (!await reader.ReadAsync())
            {
                return new StateWrite(false, null);
            }

            return reader.GetBoolean(1) ? new StateWrite(true, reader.GetInt64(2)) : new StateWrite(false, reader.IsDBNull(0) ? null : reader.GetInt64(0));
        }));
    }

    private Guid NewId()
    {
        Span<byte> bytes = stackalloc byte[16];
        random.NextBytes(bytes);
        return new Guid(bytes);
    }

    private static async Task<T> GuardAsync<T>(StateAddress address, WriteOutcome outcome, Func<Task<T>> work)
    {
        try
        {
            return await work();
        }
        catch (Exception exception) when (exception is not (StreamsException or OperationCanceledException))
        {
            throw new StreamsException(
                PostgresErrors.IsDiskFull(exception) ? StreamsErrorCode.DiskFull : StreamsErrorCode.StorageError,
                $"The state {address.Text} could not be read or written in PostgreSQL ({exception.Message}). Check the server and try again.",
                outcome,
                exception);
        }
    }

    private static NpgsqlParameter<byte[]> Bytes(byte[] value) => new() { TypedValue = value, NpgsqlDbType = NpgsqlDbType.Bytea };

    private static NpgsqlParameter<Guid> Id(Guid value) => new() { TypedValue = value };
}
