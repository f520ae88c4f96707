namespace OrleansStreams.Processing;

/// <summary>
/// The states of one run of a task. A failed task is run again by a new run, from its journal.
/// <code>
///  Created --Start--> Restoring --replayed, outbox delivered--> Running --every input ended--> Completed
///                        |                                        |------stop--------------> Stopped
///                        |------------stop--------> Stopped       |
///                        +------------error-------> Failed &lt;-----+
/// </code>
/// </summary>
internal static class StreamTaskStates
{
    public static void Check(StreamTaskState from, StreamTaskState to)
    {
        var isAllowed = (from, to) switch
        {
            (StreamTaskState.Created, StreamTaskState.Restoring) => true,
            (StreamTaskState.Restoring, StreamTaskState.Running or StreamTaskState.Stopped or StreamTaskState.Failed) => true,
            (StreamTaskState.Running, StreamTaskState.Completed or StreamTaskState.Stopped or StreamTaskState.Failed) => true,
            _ => false,
        };
        if (!isAllowed)
        {
            throw new InvalidOperationException($"A task cannot go from {from} to {to}.");
        }
    }
}
