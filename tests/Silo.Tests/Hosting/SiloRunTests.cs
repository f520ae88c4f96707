using System.Data.Common;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansStreams.Silo.Hosting;

namespace OrleansStreams.Silo.Tests.Hosting;

/// <summary>How a silo's program ends.</summary>
public sealed class SiloRunTests
{
    [Fact]
    public async Task A_background_service_that_fails_ends_the_program_with_exit_code_1_and_a_line_that_names_it()
    {
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Services.AddHostedService<FailingService>();
        using var errors = new StringWriter();

        (await builder.Build().RunToEndAsync(errors).WaitAsync(TimeSpan.FromSeconds(30))).ShouldBe(1);

        errors.ToString().ShouldStartWith("silo: stopped, because FailingService failed: the disk is full");
        errors.ToString().TrimEnd().Split('\n').Length.ShouldBe(1);
    }

    [Fact]
    public async Task An_orderly_stop_is_exit_code_0()
    {
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        var host = builder.Build();
        host.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStarted.Register(host.Services.GetRequiredService<IHostApplicationLifetime>().StopApplication);
        using var errors = new StringWriter();

        (await host.RunToEndAsync(errors).WaitAsync(TimeSpan.FromSeconds(30))).ShouldBe(0);

        errors.ToString().ShouldBeEmpty();
    }

    [Fact]
    public async Task The_hosts_own_log_is_silent_until_the_silo_has_started_and_tells_failures_after_that()
    {
        var folder = Directory.CreateTempSubdirectory("silo-hosting-");
        try
        {
            var log = new ErrorLog();
            var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
            builder.Logging.AddProvider(log);
            builder.AddStreamsSilo(new SiloSettings { DataPath = folder.FullName, Sample = false });
            builder.Services.AddHostedService<FailingAfterStart>();
            using var errors = new StringWriter();

            (await builder.Build().RunToEndAsync(errors).WaitAsync(TimeSpan.FromSeconds(60))).ShouldBe(1);

            log.Categories.ShouldContain("Microsoft.Extensions.Hosting.Internal.Host");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void A_database_that_cannot_be_used_is_one_line_and_a_fault_of_the_program_is_none()
    {
        var told = SiloCommandLine.MistakeInSettings(new DatabaseDown("connection refused\n   and more"));

        told.ShouldNotBeNull().ShouldContain("connection refused");
        told.ShouldContain("ConnectionStrings:Streams");
        told.ShouldNotContain("\n");
        SiloCommandLine.MistakeInSettings(new NotSupportedException()).ShouldBeNull();
    }

    private sealed class FailingService : BackgroundService
    {
        protected override Task ExecuteAsync(CancellationToken stoppingToken) => throw new IOException("the disk is full");
    }

    private sealed class FailingAfterStart(IHostApplicationLifetime lifetime) : BackgroundService
    {
        protected override async Task ExecuteAsync(CancellationToken stoppingToken)
        {
            var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await using var registration = lifetime.ApplicationStarted.Register(started.SetResult);
            await started.Task;
            throw new IOException("the disk is full");
        }
    }

    private sealed class DatabaseDown(string message) : DbException(message);

    /// <summary>Remembers who logged an error.</summary>
    private sealed class ErrorLog : ILoggerProvider
    {
        public System.Collections.Concurrent.ConcurrentBag<string> Categories { get; } = [];

        public ILogger CreateLogger(string categoryName) => new Logger(categoryName, Categories);

        public void Dispose()
        {
        }

        private sealed class Logger(string category, System.Collections.Concurrent.ConcurrentBag<string> categories) : ILogger
        {
            public IDisposable? BeginScope<TState>(TState state)
                where TState : notnull => null;

            public bool IsEnabled(LogLevel logLevel) => true;

            public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
            {
                if (logLevel >= LogLevel.Error)
                {
                    categories.Add(category);
                }
            }
        }
    }
}
