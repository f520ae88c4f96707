using System.Globalization;
using Npgsql;

namespace OrleansStreams.Storage.Postgres;

/// <summary>A numbered script of infra/postgres.</summary>
internal sealed record SchemaMigration(int Version, string Name, string Sql)
{
    private const string ResourcePrefix = "OrleansStreams.Postgres.";

    /// <summary>All that this build knows, in order.</summary>
    public static IReadOnlyList<SchemaMigration> All { get; } = Load();

    private static SchemaMigration[] Load()
    {
        var assembly = typeof(SchemaMigration).Assembly;
        return [.. assembly.GetManifestResourceNames()
            .Where(name => name.StartsWith(ResourcePrefix, StringComparison.Ordinal))
            .Select(resource =>
            {
                using var reader = new StreamReader(assembly.GetManifestResourceStream(resource)!);
                var name = resource[ResourcePrefix.Length..];
                return new SchemaMigration(int.Parse(name[..3], CultureInfo.InvariantCulture), name, reader.ReadToEnd());
            })
            .OrderBy(migration => migration.Version)];
    }
}

/// <summary>Brings a schema to the version of this build: whoever comes first, in one transaction; the others wait and find it done.</summary>
internal sealed class SchemaMigrator(string schema, bool mayMigrate, IReadOnlyList<SchemaMigration> migrations)
{
    private int Known => migrations[^1].Version;

    /// <summary>Checks the schema's version and applies what is missing.</summary>
    /// <returns>The migrations that were applied.</returns>
    /// <exception cref="StreamsException">IncompatibleState: the schema is newer than this build, or older (or missing) and may not be migrated.</exception>
    public async Task<IReadOnlyList<SchemaMigration>> RunAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        var version = await VersionAsync(connection, cancellationToken);
        CheckNotNewer(version);
        if (version == Known)
        {
            return [];
        }

        if (!mayMigrate)
        {
            throw new StreamsException(
                StreamsErrorCode.IncompatibleState,
                $"the schema '{schema}' in database '{connection.Database}' {(version == 0 ? "is missing" : $"has version {version}")} and this build needs version {Known}: start once with migrate=on, or apply infra/postgres by hand as its README says");
        }

        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await ExecuteAsync(connection, $"SELECT pg_advisory_xact_lock(hashtextextended('orleans-streams/migrate/{schema}', 0))", cancellationToken);

        // Another silo may have done it while this one waited for the lock.
        version = await VersionAsync(connection, cancellationToken);
        CheckNotNewer(version);
        if (version == 0)
        {
            await ExecuteAsync(connection, CreateSql(await ExistsAsync(connection, cancellationToken)), cancellationToken);
        }

        var applied = migrations.Where(migration => migration.Version > version).ToList();
        foreach (var migration in applied)
        {
            await ExecuteAsync(connection, migration.Sql, cancellationToken);
            await ExecuteAsync(connection, $"INSERT INTO schema_version (version, name) VALUES ({migration.Version}, '{migration.Name}')", cancellationToken);
        }

        await transaction.CommitAsync(cancellationToken);
        return applied;
    }

    // IF NOT EXISTS asks for the privilege to create even when there is nothing to create.
    private string CreateSql(bool exists) =>
        (exists ? string.Empty : $"CREATE SCHEMA {schema}; ") +
        "CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())";

    private async Task<bool> ExistsAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand($"SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = '{schema}')", connection);
        return (bool)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    private async Task<int> VersionAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        // The catalog itself: after a wait for another session, to_regclass may still answer from what this session has cached.
        await using var exists = new NpgsqlCommand(
            $"SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '{schema}' AND c.relname = 'schema_version')", connection);
        if (!(bool)(await exists.ExecuteScalarAsync(cancellationToken))!)
        {
            return 0;
        }

        await using var version = new NpgsqlCommand($"SELECT coalesce(max(version), 0) FROM {schema}.schema_version", connection);
        return (int)(await version.ExecuteScalarAsync(cancellationToken))!;
    }

    private void CheckNotNewer(int version)
    {
        if (version > Known)
        {
            throw new StreamsException(
                StreamsErrorCode.IncompatibleState,
                $"the schema '{schema}' has version {version}, made by a newer build; this one knows versions up to {Known}: start the newer build, or use another schema");
        }
    }

    // Only texts of this build and the schema's checked name get here.
#pragma warning disable CA2100
    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
#pragma warning restore CA2100
}
