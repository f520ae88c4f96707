namespace OrleansStreams.ClientApp.Server;

/// <summary>Which cluster: where its PostgreSQL is, and its names there.</summary>
internal sealed record ClusterAddress(string ConnectionString, string ClusterId, string ServiceId, string Schema);
