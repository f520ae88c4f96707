using System.Net.Sockets;

namespace OrleansStreams.Tests.Storage.Postgres;

/// <summary>What happens to the next request that passes.</summary>
internal enum Loss
{
    None,

    /// <summary>It never reaches the server; the client's connection breaks.</summary>
    Request,

    /// <summary>The server carries it out, and its answer is lost with the connection.</summary>
    Answer,

    /// <summary>Likewise, and the network is down from then on.</summary>
    AnswerAndAllElse,

    /// <summary>The client's connection breaks; the request is delivered later, by <see cref="LossyProxy.DeliverAsync"/>. The network is down from then on.</summary>
    LateAndAllElse,

    /// <summary>The same while the network stays up.</summary>
    Late,
}

/// <summary>A network between the product and PostgreSQL that loses what it is told to lose: a Unix socket in front of the server's own.</summary>
internal sealed class LossyProxy : IAsyncDisposable
{
    private const string SocketName = ".s.PGSQL.5432";

    private readonly string _folder = Directory.CreateTempSubdirectory("streams-proxy-").FullName;
    private readonly string _server;
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly CancellationTokenSource _ending = new();
    private readonly Task _accepting;
    private readonly List<Socket> _sockets = [];
    private readonly TaskCompletionSource<(Socket Server, byte[] Request)> _late = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _down = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _loss;
    private int _passing;
    private volatile bool _isDown;

    public LossyProxy(string connectionString)
    {
        var parts = connectionString.Split(';');
        _server = parts[0]["Host=".Length..];
        ConnectionString = $"Host={_folder};{string.Join(';', parts[1..])}";
        _listener.Bind(new UnixDomainSocketEndPoint(Path.Combine(_folder, SocketName)));
        _listener.Listen();
        _accepting = AcceptAsync();
    }

    public string ConnectionString { get; }

    /// <summary>Whether connections are refused, and those that are there broken.</summary>
    public bool IsDown
    {
        get => _isDown;
        set
        {
            _isDown = value;
            if (value)
            {
                CloseAll();
            }
        }
    }

    /// <summary>Ends when a loss has taken the network down.</summary>
    public Task DownAsync => _down.Task.WaitAsync(TimeSpan.FromSeconds(30));

    /// <summary>The next request is lost like this, or the one after so many others.</summary>
    public void LoseNext(Loss loss, int after = 0)
    {
        Volatile.Write(ref _passing, after);
        Volatile.Write(ref _loss, (int)loss);
    }

    /// <summary>Gives the server the request that was kept, and returns the server's answer as text.</summary>
    public async Task<string> DeliverAsync()
    {
        var (server, request) = await _late.Task.WaitAsync(TimeSpan.FromSeconds(30));
        await server.SendAsync(request);
        var answer = new byte[64 * 1024];
        var read = 0;
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));

        // ReadyForQuery: 'Z', its length 5, and the state of the transaction, idle.
        while (read < 6 || answer[read - 6] != 'Z' || answer[read - 1] != 'I')
        {
            read += await server.ReceiveAsync(answer.AsMemory(read), patience.Token);
        }

        server.Dispose();
        return System.Text.Encoding.Latin1.GetString(answer, 0, read);
    }

    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync();
        _listener.Dispose();
        await _accepting;
        CloseAll();
        _ending.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptAsync(_ending.Token);
                if (_isDown)
                {
                    client.Dispose();
                    continue;
                }

                var server = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await server.ConnectAsync(new UnixDomainSocketEndPoint(Path.Combine(_server, SocketName)));
                lock (_sockets)
                {
                    _sockets.AddRange([client, server]);
                }

                var pair = new Pair(client, server);
                _ = RequestsAsync(pair);
                _ = AnswersAsync(pair);
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The end.
        }
    }

    private async Task RequestsAsync(Pair pair)
    {
        var buffer = new byte[1 << 20];
        try
        {
            while (true)
            {
                var read = await pair.Client.ReceiveAsync(buffer);
                if (read == 0)
                {
                    break;
                }

                var loss = Volatile.Read(ref _loss) != 0 && Interlocked.Decrement(ref _passing) < 0 ? (Loss)Interlocked.Exchange(ref _loss, (int)Loss.None) : Loss.None;
                switch (loss)
                {
                    case Loss.Request:
                        pair.Close();
                        return;
                    case Loss.Answer or Loss.AnswerAndAllElse:
                        pair.TakesDown = loss == Loss.AnswerAndAllElse;
                        pair.LosesAnswer = true;
                        break;
                    case Loss.Late or Loss.LateAndAllElse:
                        lock (_sockets)
                        {
                            _sockets.Remove(pair.Server);
                        }

                        pair.IsKept = true;
                        if (loss == Loss.LateAndAllElse)
                        {
                            TakeDown();
                        }

                        pair.Client.Dispose();
                        _late.SetResult((pair.Server, buffer[..read]));
                        return;
                }

                await pair.Server.SendAsync(buffer.AsMemory(0, read));
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // Broken at either end.
        }

        pair.Close();
    }

    private async Task AnswersAsync(Pair pair)
    {
        var buffer = new byte[1 << 16];
        try
        {
            // A kept server's answer is for another reader: this one must not be waiting for it, so it looks before it takes.
            while (true)
            {
                await pair.Server.ReceiveAsync(Array.Empty<byte>());
                if (pair.IsKept)
                {
                    return;
                }

                var read = await pair.Server.ReceiveAsync(buffer);
                if (read == 0 || pair.LosesAnswer)
                {
                    if (pair.TakesDown)
                    {
                        TakeDown();
                    }

                    break;
                }

                await pair.Client.SendAsync(buffer.AsMemory(0, read));
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // Broken at either end.
        }

        pair.Close();
    }

    private void TakeDown()
    {
        IsDown = true;
        _down.TrySetResult();
    }

    private void CloseAll()
    {
        lock (_sockets)
        {
            _sockets.ForEach(socket => socket.Dispose());
            _sockets.Clear();
        }
    }

    private sealed class Pair(Socket client, Socket server)
    {
        private volatile bool _losesAnswer;
        private volatile bool _isKept;

        public Socket Client => client;

        public Socket Server => server;

        public bool TakesDown { get; set; }

        public bool LosesAnswer
        {
            get => _losesAnswer;
            set => _losesAnswer = value;
        }

        public bool IsKept
        {
            get => _isKept;
            set => _isKept = value;
        }

        public void Close()
        {
            if (!IsKept)
            {
                client.Dispose();
                server.Dispose();
            }
        }
    }
}
