using System.Data.Common;
using System.Net.Sockets;
using Npgsql;
using Orleans;
using Orleans.Runtime;
using OrleansStreams.Errors;

namespace OrleansStreams.Cluster;

/// <summary>
/// Decides at the client's start whether a cluster that does not answer is waited for. A database or silos that are away may come; a wrong password does not
/// become right. In the end it says in one sentence what is missing.
/// </summary>
internal sealed class ClusterStart(StreamsClusterClientOptions options, NpgsqlConnectionStringBuilder connection, TimeProvider time) : IClientConnectionRetryFilter
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    private long? began;

    /// <exception cref="StreamsException">CoordinatorNotAvailable when it is not worth waiting any longer.</exception>
    public async Task<bool> ShouldRetryConnectionAttempt(Exception exception, CancellationToken cancellationToken)
    {
        began ??= time.GetTimestamp();
        if (!MayPass(exception) || time.GetElapsedTime(began.Value) >= options.ConnectTimeout)
        {
            throw new StreamsException(StreamsErrorCode.CoordinatorNotAvailable, Explain(exception), inner: exception);
        }

        await Task.Delay(Pause, time, cancellationToken);
        return true;
    }

    private static bool MayPass(Exception exception) => exception switch
    {
        // Tables that are not there are made by the first silo that starts.
        PostgresException { SqlState: PostgresErrorCodes.UndefinedTable or PostgresErrorCodes.UndefinedFunction or PostgresErrorCodes.InvalidSchemaName } => true,
        PostgresException database => database.IsTransient,
        DbException or SocketException or IOException or TimeoutException or OrleansException => true,
        _ => false,
    };

    private string Explain(Exception exception) => exception switch
    {
        PostgresException { SqlState: PostgresErrorCodes.UndefinedTable or PostgresErrorCodes.UndefinedFunction or PostgresErrorCodes.InvalidSchemaName } =>
            $"there is no cluster in {Place}: its tables are not there; start a silo with this database, or correct the schema",
        DbException or SocketException or IOException or TimeoutException => $"the cluster's database at {Place} cannot be used: {FirstLine(exception)}; start it, or correct the connection string",
        SiloUnavailableException => $"no silo of cluster '{options.ClusterId}' (service '{options.ServiceId}') is alive in {Place}; start one, or correct the cluster id",
        OrleansException => $"no silo of cluster '{options.ClusterId}' (service '{options.ServiceId}') in {Place} can be reached: {FirstLine(exception)}; start one, or correct the cluster id",
        _ => $"the client of cluster '{options.ClusterId}' cannot start: {FirstLine(exception)}",
    };

    private string Place => $"{connection.Host}/{connection.Database}, schema {options.Schema}";

    private static string FirstLine(Exception exception) => exception.Message.Split('\n')[0].TrimEnd().TrimEnd('.');
}
