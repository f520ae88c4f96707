namespace OrleansStreams.ClientApp.Server;

/// <summary>How a server's API is reached: over HTTP, or as a client of the cluster.</summary>
internal interface IServerTransport : IAsyncDisposable
{
    /// <summary>What is reached, for people.</summary>
    string Name { get; }

    /// <summary>Sends one request, with a JSON body or without, and waits for the whole answer.</summary>
    /// <exception cref="ServerException">There was no answer.</exception>
    Task<ServerAnswer> SendAsync(HttpMethod method, string path, ReadOnlyMemory<byte>? json, CancellationToken cancellation);
}

/// <summary>An answer of the API: HTTP's status, and JSON or nothing.</summary>
internal readonly record struct ServerAnswer(int Status, ReadOnlyMemory<byte> Body);
