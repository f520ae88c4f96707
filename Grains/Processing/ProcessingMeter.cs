using System.Diagnostics.Metrics;

namespace OrleansStreams.Processing;

/// <summary>What tasks count when a commit is durable, per process, with the application and the task as tags; the meter is that of the logs.</summary>
internal static class ProcessingMeter
{
    private static readonly Meter s_meter = new("OrleansStreams");

    private static readonly Counter<long> s_commits = s_meter.CreateCounter<long>("streams.task.commits", description: "Commits made durable.");

    private static readonly Counter<long> s_recordsIn = s_meter.CreateCounter<long>("streams.task.records.in", description: "Records processed, by durable commits.");

    private static readonly Counter<long> s_recordsOut = s_meter.CreateCounter<long>("streams.task.records.out", description: "Records written, by durable commits.");

    private static readonly Counter<long> s_recordsLate = s_meter.CreateCounter<long>("streams.task.records.late", description: "Records too late for their window, by durable commits.");

    private static readonly Counter<long> s_recordsSkipped = s_meter.CreateCounter<long>("streams.task.records.skipped", description: "Records skipped, by durable commits.");

    private static readonly Counter<long> s_deadLetters = s_meter.CreateCounter<long>("streams.task.records.dead.lettered", description: "Records sent to dead-letter topics, by durable commits.");

    /// <summary>A commit became durable.</summary>
    /// <param name="plan">The task's.</param>
    /// <param name="before">As of the commit before it, null for a task's first.</param>
    /// <param name="now">As of this commit.</param>
    public static void Committed(TaskPlan plan, TaskProgress? before, TaskProgress now)
    {
        var application = new KeyValuePair<string, object?>("application", plan.Application);
        var task = new KeyValuePair<string, object?>("task", plan.TaskId);
        s_commits.Add(1, application, task);
        s_recordsIn.Add(now.RecordsIn - (before?.RecordsIn ?? 0), application, task);
        s_recordsOut.Add(now.RecordsOut - (before?.RecordsOut ?? 0), application, task);
        s_recordsLate.Add(now.LateRecords - (before?.LateRecords ?? 0), application, task);
        s_recordsSkipped.Add(now.SkippedRecords - (before?.SkippedRecords ?? 0), application, task);
        s_deadLetters.Add(now.DeadLetters - (before?.DeadLetters ?? 0), application, task);
    }
}
