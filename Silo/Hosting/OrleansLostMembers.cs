using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Options;
using Orleans.Configuration;

namespace OrleansStreams.Silo.Hosting;

/// <summary>
/// Lets a silo join a cluster whose members were all killed at once.
/// <para>
/// A silo that joins contacts all members that the membership table calls active, and tries for <see cref="ClusterMembershipOptions.MaxJoinAttemptTime"/> (5 minutes).
/// It may declare members dead that have given no sign of life for long, but it looks for such members only when the table changes: one that starts
/// within seconds of the kill sees none, and nobody is left who would change the table.
/// </para>
/// <para>
/// So it looks again and again while it joins. A member is declared dead when it is silent in the table and nobody listens at its address: after an outage of the
/// database all members are silent, and alive.
/// </para>
/// </summary>
internal sealed partial class OrleansLostMembers(
    IMembershipTable table, IClusterMembershipService membership, ILocalSiloDetails self, IOptions<ClusterMembershipOptions> options, TimeProvider time, ILogger<OrleansLostMembers> logger)
    : ILifecycleParticipant<ISiloLifecycle>, IDisposable
{
    private readonly CancellationTokenSource ending = new();
    private Task looking = Task.CompletedTask;

    private TimeSpan SilenceMax => options.Value.IAmAliveTablePublishTimeout * options.Value.NumMissedTableIAmAliveLimit;

    private TimeSpan ConnectMax => options.Value.ProbeTimeout * options.Value.NumMissedProbesLimit;

    public void Participate(ISiloLifecycle lifecycle)
    {
        lifecycle.Subscribe(nameof(OrleansLostMembers), ServiceLifecycleStage.ValidateInitialConnectivity, Begin, _ => EndAsync());
        lifecycle.Subscribe(nameof(OrleansLostMembers), ServiceLifecycleStage.BecomeActive, _ => EndAsync());
    }

    public void Dispose() => ending.Dispose();

    private Task Begin(CancellationToken cancellationToken)
    {
        looking = LookAsync(ending.Token);
        return Task.CompletedTask;
    }

    private async Task EndAsync()
    {
        await ending.CancelAsync();
        await looking.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task LookAsync(CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                var members = await table.ReadAll();
                foreach (var (member, _) in members.Members)
                {
                    if (IsSilent(member) && !await IsListeningAsync(member.SiloAddress.Endpoint, cancellationToken))
                    {
                        LogLost(member.SiloAddress, time.GetUtcNow().UtcDateTime - member.IAmAliveTime);
                        await membership.TryKill(member.SiloAddress);
                    }
                }
            }
            catch (Exception error) when (!cancellationToken.IsCancellationRequested)
            {
                // The database is away, for example, which the join has words for.
                LogNotLooked(error);
            }

            await Task.Delay(options.Value.ProbeTimeout, time, cancellationToken);
        }
    }

    private bool IsSilent(MembershipEntry member) =>
        member.Status == SiloStatus.Active && !member.SiloAddress.Equals(self.SiloAddress) && time.GetUtcNow().UtcDateTime - member.IAmAliveTime > SilenceMax;

    private async Task<bool> IsListeningAsync(IPEndPoint endpoint, CancellationToken cancellationToken)
    {
        using var client = new TcpClient(endpoint.AddressFamily);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(ConnectMax);
        try
        {
            await client.ConnectAsync(endpoint, patience.Token);
            return true;
        }
        catch (Exception error) when (error is SocketException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
        {
            return false;
        }
    }

    [LoggerMessage(EventId = 10, Level = LogLevel.Warning, Message = "The silo {Silo} has given no sign of life for {Silence}, and nobody listens at its address: it is declared dead")]
    private partial void LogLost(SiloAddress silo, TimeSpan silence);

    [LoggerMessage(EventId = 11, Level = LogLevel.Debug, Message = "The members of the cluster could not be looked at")]
    private partial void LogNotLooked(Exception error);
}
