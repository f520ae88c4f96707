using OrleansStreams.Records;

namespace OrleansStreams.Processing;

/// <summary>When commits are made, and what they promise.</summary>
internal sealed partial class StreamTask
{
    private readonly List<PoisonRecord> _poison = [];
    private bool _isRebuilding;

    /// <summary>
    /// Commits of all tasks of a process fall due together, at the multiples of the interval on its clock: what their journals append then goes to the disk, or to the database, in one round. Each task
    /// on a beat of its own would cost a flush for every task and interval.
    /// </summary>
    private void SetNextCommit()
    {
        var now = Time.GetTimestamp();
        var interval = (long)(Options.CommitInterval.TotalSeconds * Time.TimestampFrequency);
        _nextCommit = interval <= 0 ? now : ((now / interval) + 1) * interval;
    }

    /// <summary>
    /// Who processes at most once makes it durable that records have been read, before any of them is processed: all that was fetched up to the next marker. Markers are never claimed, for taking
    /// one twice does no harm, and without the last one of an upstream task this one would wait for ever.
    /// </summary>
    private async Task ClaimIfDueAsync(int input)
    {
        var next = RecordBatchHeader.Read(_rest[input].Span);
        if (Options.Guarantee != ProcessingGuarantee.AtMostOnce || next.IsControl || next.NextOffset <= _engine!.ClaimOf(input))
        {
            return;
        }

        var end = next.NextOffset;
        for (var rest = _rest[input]; !rest.IsEmpty && RecordBatchHeader.Read(rest.Span) is { IsControl: false } header; rest = rest[header.TotalBytes..])
        {
            end = header.NextOffset;
        }

        _engine.Claim(input, end);
        await CommitAsync();
        await _commit;
    }

    /// <summary>
    /// A record failed midway: the state is made anew as of the last commit, and what was processed since is processed again, without the record. The mark is in memory only: after a crash the
    /// record is tried again, and fails again or not; what became of it is decided by the commit that passes it.
    /// </summary>
    private async Task RebuildAsync(PoisonRecord poison)
    {
        _environment.Logger.RebuiltForPoisonRecord(_name, poison.Reason);
        _poison.Add(poison);

        // What is in memory must not be committed any more, whatever ends this.
        _isRebuilding = true;
        await _commit;

        // What was committed is delivered, and of the rest nothing was sent: the run's sequences go on.
        var run = _engine!.RunSequences;

        // The old state goes first: there may be no room for both.
        _engine = null;
        var engine = await RestoreEngineAsync(run, _stop.Token);
        engine.ContinueFrom(_committed!.Positions);
        _poison.ForEach(engine.TakeOut);
        engine.SetClock(NowMs);
        engine.Start();

        // That an input has ended may not be committed yet, and nothing more comes that could tell it.
        engine.EndReachedInputs();
        _engine = engine;
        _isRebuilding = false;
    }

    /// <exception cref="StreamsException">StateTooLarge.</exception>
    private void CheckStateBytes(TaskEngine engine)
    {
        if (Options.StateBytesMax != long.MaxValue && engine.StateBytes is var bytes && bytes > Options.StateBytesMax)
        {
            throw new StreamsException(
                StreamsErrorCode.StateTooLarge,
                $"The state of task {_name} takes {bytes} bytes of memory, its bound is {Options.StateBytesMax} (ProcessingOptions.StateBytesMax, StreamApplicationOptions.StateBytesMax). What was committed is kept: " +
                "raise the bound and start the application again, or process it anew with more partitions, a shorter retention or fewer keys.",
                WriteOutcome.NotWritten);
        }
    }

    private void TellTakenOut(TaskCommit commit, TaskProgress progress)
    {
        if (commit.DroppedLetters > 0)
        {
            _environment.Logger.DeadLettersDropped(_name, commit.DroppedLetters, commit.LastDroppedLetter!);
        }

        var count = progress.SkippedRecords - (_committed?.SkippedRecords ?? 0);
        if (count > 0)
        {
            _environment.Logger.RecordsSkipped(_name, count, progress.LastTakenOut ?? "without a valid event time");
        }
    }
}
