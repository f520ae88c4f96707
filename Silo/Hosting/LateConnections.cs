using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace OrleansStreams.Silo.Hosting;

/// <summary>
/// Ends the HTTP connections that are left some seconds after the silo was told to stop. What handlers do ends by itself then; but a client that was refused and
/// goes on sending its body, or doesn't take its answer, would be waited for until the host's patience is over.
/// </summary>
internal sealed class LateConnections : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(4);

    private readonly CancellationTokenSource overdue;
    private readonly CancellationTokenRegistration stopping;

    public LateConnections(IHostApplicationLifetime lifetime, TimeProvider time)
    {
        overdue = new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
        stopping = lifetime.ApplicationStopping.Register(() => overdue.CancelAfter(Patience));
    }

    public static void AddTo(IServiceCollection services)
    {
        services.AddSingleton<LateConnections>();
        services.AddOptions<KestrelServerOptions>().Configure<LateConnections>((options, late) => options.ConfigureEndpointDefaults(endpoint => endpoint.Use(late.Watch)));
    }

    public void Dispose()
    {
        stopping.Dispose();
        overdue.Dispose();
    }

    private ConnectionDelegate Watch(ConnectionDelegate next) => async connection =>
    {
        using var watched = overdue.Token.UnsafeRegister(
            static connection => ((ConnectionContext)connection!).Abort(new ConnectionAbortedException("The silo stops.")), connection);
        await next(connection);
    };
}
