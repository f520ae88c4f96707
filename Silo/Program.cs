using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using OrleansStreams.Errors;
using OrleansStreams.Silo.Hosting;
using OrleansStreams.Silo.Http;
using OrleansStreams.Silo.Samples;

if (SiloCommandLine.Usage(args) is { } usage)
{
    (usage.ExitCode == 0 ? Console.Out : Console.Error).WriteLine(usage.Text);
    return usage.ExitCode;
}

var started = false;
try
{
    var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = args, ContentRootPath = AppContext.BaseDirectory });
    var settings = builder.ReadSettings(args);
    builder.AddStreamsSilo(settings);
    builder.Services.AddStreamsApi();
    if (settings.Sample)
    {
        builder.Services.AddHostedService<SampleStarter>();
    }

    var app = builder.Build();
    var data = await app.OpenStorageAsync();
    app.MapStreamsApi();
    app.Lifetime.ApplicationStarted.Register(() => started = true);
    app.Lifetime.ApplicationStarted.Register(() => SiloLog.Started(app.Logger, ActorRuntimeHosting.Name, data, string.Join(' ', app.Urls)));
    return await app.RunToEndAsync(Console.Error);
}
catch (StreamsException error)
{
    Console.Error.WriteLine($"silo: {error.Message}");
    return 1;
}
catch (IOException error) when (error.InnerException is AddressInUseException or SocketException)
{
    Console.Error.WriteLine($"silo: {error.Message} Stop the other program or choose another address with --urls http://127.0.0.1:PORT");
    return 1;
}
catch (Exception error) when (!started && SiloCommandLine.MistakeInSettings(error) is not null)
{
    Console.Error.WriteLine($"silo: {SiloCommandLine.MistakeInSettings(error)}");
    return 1;
}
