using System.Diagnostics;

namespace OrleansStreams.Cluster.Tests;

/// <summary>What watches over the silos' processes.</summary>
public sealed class GuardTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Silos_and_their_folder_go_with_the_test_run_and_a_stranger_with_a_silos_number_does_not()
    {
        var folder = Directory.CreateTempSubdirectory("streams-guard-").FullName;
        using var silo = Idle(Path.Combine(folder, "silo-1"));
        using var stranger = Idle("elsewhere");
        try
        {
            using var guard = Start("bash", Path.Combine(AppContext.BaseDirectory, "Cluster", "silos.sh"), folder);
            await guard.StandardInput.WriteLineAsync($"{silo.Id}\n{stranger.Id}");

            // What happens when the test host dies, too.
            guard.StandardInput.Close();

            await guard.WaitForExitAsync().WaitAsync(Patience);
            await silo.WaitForExitAsync().WaitAsync(Patience);
            Directory.Exists(folder).ShouldBeFalse();
            stranger.HasExited.ShouldBeFalse();
        }
        finally
        {
            silo.Kill();
            stranger.Kill();
        }
    }

    /// <summary>A process that waits for its input and has this argument.</summary>
    private static Process Idle(string argument) => Start("bash", "-c", "read -r _", argument);

    private static Process Start(string program, params string[] arguments) => Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardInput = true })!;
}
