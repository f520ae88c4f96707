using System.Globalization;
using Xunit.Abstractions;

namespace OrleansStreams.Groups.Model;

public sealed class GroupModelTests(ITestOutputHelper output)
{
    private const string SeedVariable = "GROUP_MODEL_SEED";
    private const int Steps = 1000;

    [Fact]
    public void Whatever_is_lost_late_repeated_or_restarted_the_invariants_of_groups_hold()
    {
        var seeds = Seeds(Environment.GetEnvironmentVariable(SeedVariable) ?? "1-300");
        var totals = new SortedDictionary<string, int>(StringComparer.Ordinal);
        foreach (var seed in seeds)
        {
            if (Run(seed, (o, s, n) => new GroupStateMachine(o, s, n), totals) is { } broken)
            {
                Assert.Fail($"Seed {seed}: {broken}\nReplay: {SeedVariable}={seed} dotnet test tests/Grains.Tests --filter {nameof(GroupModelTests)}");
            }
        }

        output.WriteLine(string.Join('\n', totals.Select(t => $"{t.Key}: {t.Value}")));
        if (seeds.Length > 1)
        {
            // A model that never gets into trouble proves nothing.
            string[] troubles =
            [
                "answered", "committed", "expired", "reset", "left", "restarted", "given up by itself", "activation died before its write", "UnknownMemberId",
                "FencedMemberEpoch", "commit refused: UnknownMemberId", "commit refused: FencedMemberEpoch", "commit refused: IllegalGeneration",
            ];
            troubles.ShouldAllBe(t => totals.GetValueOrDefault(t) >= 20);
        }
    }

    [Fact]
    public void A_group_that_revokes_without_waiting_is_caught() =>
        MustBeCaught(GroupCheckers.OneOwner, (o, s, n) => new GroupMutants.RevokesWithoutWaiting(o, s, n));

    [Fact]
    public void A_group_that_believes_old_messages_is_caught() =>
        MustBeCaught(GroupCheckers.OneOwner, (o, s, n) => new GroupMutants.BelievesOldMessages(o, s, n));

    [Fact]
    public void A_group_that_counts_epochs_per_membership_is_caught() =>
        MustBeCaught(GroupCheckers.EpochsForward, (o, s, n) => new GroupMutants.CountsEpochsPerMembership(o, s, n));

    [Fact]
    public void A_group_that_takes_any_commit_is_caught() =>
        MustBeCaught(GroupCheckers.OffsetsForward, (o, s, n) => new GroupMutants.TakesAnyCommit(o, s, n));

    [Fact]
    public void A_group_that_forgets_a_partition_is_caught() =>
        MustBeCaught(GroupCheckers.AllAssigned, (o, s, n) => new GroupMutants.ForgetsPartitions(o, s, n));

    [Fact]
    public void A_group_that_favours_one_member_is_caught() =>
        MustBeCaught(GroupCheckers.Balanced, (o, s, n) => new GroupMutants.FavoursOne(o, s, n));

    /// <summary>One seed (to replay a failure) or a range as <c>1-5000</c> (to search longer).</summary>
    private static int[] Seeds(string text)
    {
        var ends = text.Split('-').Select(t => int.Parse(t, CultureInfo.InvariantCulture)).ToArray();
        return [.. Enumerable.Range(ends[0], ends[^1] - ends[0] + 1)];
    }

    private void MustBeCaught(string checker, Func<GroupOptions, GroupState, TimeSpan, GroupStateMachine> mutant)
    {
        for (var seed = 1; seed <= 250; seed++)
        {
            if (Run(seed, mutant, []) is InvariantBrokenException broken && broken.Checker == checker)
            {
                output.WriteLine($"seed {seed}: {broken.Message}");
                return;
            }
        }

        Assert.Fail($"No seed of 250 showed the planted bug to the checker '{checker}'.");
    }

    private static Exception? Run(
        int seed, Func<GroupOptions, GroupState, TimeSpan, GroupStateMachine> create, SortedDictionary<string, int> totals)
    {
        var model = new GroupModel(seed, create);
        try
        {
            for (var step = 0; step < Steps; step++)
            {
                model.Step();
            }

            model.Quiet();
        }
        catch (Exception e) when (e is InvariantBrokenException or InvalidOperationException or ShouldAssertException)
        {
            return e;
        }
        finally
        {
            foreach (var (what, count) in model.Counters)
            {
                totals[what] = totals.GetValueOrDefault(what) + count;
            }
        }

        return null;
    }
}
