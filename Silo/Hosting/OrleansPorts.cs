using System.Net;
using System.Net.Sockets;

namespace OrleansStreams.Silo.Hosting;

/// <summary>The ports that an Orleans silo listens on.</summary>
internal static class OrleansPorts
{
    /// <summary>
    /// The settings with ports that are free now: 0 becomes a free one. A silo whose port is taken would go on trying to join the other's
    /// cluster without a word, so it is told before anything starts.
    /// </summary>
    /// <exception cref="StreamsException">InvalidConfig, naming the setting.</exception>
    public static ClusterSettings Resolve(ClusterSettings settings)
    {
        using var silo = Listen("silo-port", settings.SiloPort);

        // Both are held until both are known, or the same free one could come up twice.
        using var gateway = Listen("gateway-port", settings.GatewayPort);
        return settings with { SiloPort = PortOf(silo), GatewayPort = PortOf(gateway) };
    }

    private static int PortOf(TcpListener listener) => ((IPEndPoint)listener.LocalEndpoint).Port;

    private static TcpListener Listen(string name, int port)
    {
        var listener = new TcpListener(IPAddress.Any, port);
        try
        {
            listener.Start();
            return listener;
        }
        catch (SocketException error)
        {
            listener.Dispose();
            throw new StreamsException(
                StreamsErrorCode.InvalidConfig, $"the setting '{name}' is {port}, where this program cannot listen: {error.Message}. Stop the other program or choose another port", inner: error);
        }
    }
}
