using System.Globalization;
using Npgsql;

namespace OrleansStreams.Storage.Postgres;

/// <summary>What a server's settings mean for what this storage may promise.</summary>
/// <param name="Version">The server's version, for people.</param>
/// <param name="ServerDefault">synchronous_commit as the server, the database or the user has it.</param>
/// <param name="WalWriterDelay">wal_writer_delay: asynchronous commits are flushed within three times this.</param>
/// <param name="Unsafe">Settings that are off and take durability away from every commit.</param>
internal sealed record ServerFacts(string Version, string ServerDefault, TimeSpan WalWriterDelay, IReadOnlyList<string> Unsafe)
{
    /// <summary>The setting for commits that must be on disk: the server's own when it is at least <c>on</c>, else <c>on</c>.</summary>
    public string SynchronousCommit => ServerDefault == "remote_apply" ? ServerDefault : "on";

    /// <summary>Asks a server.</summary>
    /// <exception cref="StreamsException">InvalidConfig: too old, or a standby.</exception>
    public static async Task<ServerFacts> ReadAsync(NpgsqlConnection connection, int versionMin, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(
            """
            SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_setting('synchronous_commit'),
                   (SELECT setting::int FROM pg_settings WHERE name = 'wal_writer_delay'), current_setting('fsync'), current_setting('full_page_writes'), pg_is_in_recovery()
            """,
            connection);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        var number = reader.GetInt32(0);
        var version = reader.GetString(1);
        if (number < versionMin)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidConfig,
                string.Create(CultureInfo.InvariantCulture, $"PostgreSQL at {connection.Host} is version {version} and {versionMin / 10_000} or newer is needed: upgrade the server or name another one"));
        }

        if (reader.GetBoolean(6))
        {
            throw new StreamsException(StreamsErrorCode.InvalidConfig, $"PostgreSQL at {connection.Host} is a standby, which cannot be written: name its primary in the connection string");
        }

        var off = new List<string>();
        if (reader.GetString(4) == "off")
        {
            off.Add("fsync");
        }

        if (reader.GetString(5) == "off")
        {
            off.Add("full_page_writes");
        }

        return new ServerFacts(version, reader.GetString(2), TimeSpan.FromMilliseconds(reader.GetInt32(3)), off);
    }
}
