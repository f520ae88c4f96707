using System.Net.Sockets;
using Npgsql;

namespace OrleansStreams.Storage.Postgres;

/// <summary>What an exception of the driver tells about the work that it ended.</summary>
internal static class PostgresErrors
{
    /// <summary>
    /// Whether the server itself said that the statement failed, so that its transaction is rolled back. FATAL and PANIC end the connection, perhaps
    /// after the commit; a broken connection and a timeout tell nothing either.
    /// </summary>
    public static bool IsRolledBack(Exception exception) => exception is PostgresException { InvariantSeverity: "ERROR" };

    /// <summary>Whether the server has no room (53100 disk_full).</summary>
    public static bool IsDiskFull(Exception exception) => exception is PostgresException { SqlState: PostgresErrorCodes.DiskFull };

    /// <summary>Whether the same work may succeed in a moment: the server is away, starting, ending connections or short of something.</summary>
    public static bool IsPassing(Exception exception) => exception switch
    {
        PostgresException { SqlState: PostgresErrorCodes.DiskFull } => false,
        PostgresException { SqlState: var state } => state[..2] is "08" or "40" or "53" or "57" || state == PostgresErrorCodes.LockNotAvailable,
        NpgsqlException or SocketException or IOException or TimeoutException or ObjectDisposedException => true,
        _ => false,
    };

    /// <summary>An error of the work on a log, in the words of every storage.</summary>
    public static StreamsException Translate(LogId id, WriteOutcome outcome, Exception exception) =>
        exception as StreamsException ?? (IsDiskFull(exception) ? LogRules.DiskFull(id, exception) : Failed(id, outcome, exception));

    /// <summary>StorageError, whose advice is about a database.</summary>
    public static StreamsException Failed(LogId id, WriteOutcome outcome, Exception? cause) => new(
        StreamsErrorCode.StorageError,
        $"Log {id} could not be written or read in PostgreSQL{(cause is null ? string.Empty : $" ({Text(cause)})")}. Check the server, then open the log again: what is stored is found then.",
        outcome,
        cause);

    /// <summary>An error of the start, in one sentence that says what to do.</summary>
    public static StreamsException AtStart(Exception exception, NpgsqlConnectionStringBuilder connection, string schema)
    {
        var server = $"PostgreSQL at {connection.Host}{(connection.Host?.StartsWith('/') == true ? string.Empty : $":{connection.Port}")}";
        var (code, message) = exception switch
        {
            PostgresException { SqlState: PostgresErrorCodes.InvalidPassword or PostgresErrorCodes.InvalidAuthorizationSpecification } refused =>
                (StreamsErrorCode.InvalidConfig, $"{server} refuses the user: {refused.MessageText}; correct Username and Password in the connection string"),
            PostgresException { SqlState: PostgresErrorCodes.InvalidCatalogName } missing =>
                (StreamsErrorCode.InvalidConfig, $"{server}: {missing.MessageText}; create it or correct Database in the connection string"),
            PostgresException { SqlState: PostgresErrorCodes.InsufficientPrivilege } denied =>
                (StreamsErrorCode.InvalidConfig, $"{server}: {denied.MessageText}; let the user '{connection.Username}' create and own schema '{schema}', or have its migrations applied by its owner and start with migrate=off"),
            PostgresException other => (StreamsErrorCode.StorageError, $"{server}: {other.MessageText} (SQLSTATE {other.SqlState})"),
            { InnerException: SocketException or TimeoutException } =>
                (StreamsErrorCode.StorageError, $"{server} cannot be reached: {exception.InnerException!.Message}; start the server or correct Host and Port in the connection string"),
            _ => (StreamsErrorCode.StorageError, $"{server} cannot be used: {Text(exception)}; correct the connection string"),
        };
        return new StreamsException(code, message.ReplaceLineEndings(" "), WriteOutcome.NotAWrite, exception);
    }

    private static string Text(Exception exception) => exception is PostgresException known ? $"{known.MessageText}, SQLSTATE {known.SqlState}" : exception.Message.TrimEnd('.');
}
