using Microsoft.Extensions.Logging;

namespace OrleansStreams.Storage.Postgres;

/// <summary>
/// Group commit over all logs: as many connections as are allowed write at the same time, each takes what the logs that wait have queued while the last
/// commit ran. A log is in one round at a time, so its batches become durable in order. An idle writer has no connection in use and no task.
/// </summary>
internal sealed class RoundWriter(PostgresDatabase database)
{
    // A round with more logs than that holds as many row locks, and gains nothing.
    private const int PartsMax = 1000;

    private readonly Lock _gate = new();
    private readonly Queue<IRoundOwner> _ready = new();
    private readonly int _lanesMax = Math.Max(1, database.Options.WriterConnections);
    private int _lanes;

    private ILogger Logger => database.Logger;

    /// <summary>Queues a log that has something to write and is neither queued nor in a round.</summary>
    public void Enqueue(IRoundOwner owner)
    {
        lock (_gate)
        {
            _ready.Enqueue(owner);
            if (_lanes < _lanesMax)
            {
                _lanes++;
                _ = Detached.RunAsync(RunLaneAsync);
            }
        }
    }

    private async Task RunLaneAsync()
    {
        var parts = new List<RoundPart>();
        while (TakeRound(parts))
        {
            await WriteAsync(parts);
            parts.Clear();
        }
    }

    private bool TakeRound(List<RoundPart> parts)
    {
        var left = (long)database.Options.RoundBytesMax;
        while (left > 0 && parts.Count < PartsMax)
        {
            IRoundOwner? owner;
            lock (_gate)
            {
                if (!_ready.TryDequeue(out owner))
                {
                    _lanes -= parts.Count == 0 ? 1 : 0;
                    break;
                }
            }

            if (owner.Take(left) is { } part)
            {
                parts.Add(part);
                left -= part.Rows.Sum(row => (long)row.Data.Length);
            }
        }

        return parts.Count > 0;
    }

    /// <summary>Writes parts and tells their owners; never throws.</summary>
    private async Task WriteAsync(List<RoundPart> parts)
    {
        var patience = new Patience(database.Time, database.Options.UnavailableMax);
        while (parts.Count > 0)
        {
            var isSent = false;
            try
            {
                await using var connection = await database.OpenWriterAsync();
                isSent = true;
                var fenced = await RoundStatements.WriteAsync(connection, parts);
                parts.ForEach(part => Tell(part, fenced.Contains(part) ? RoundFailure.Fenced : null));
                return;
            }
            catch (Exception exception) when (PostgresErrors.IsRolledBack(exception))
            {
                if (PostgresErrors.IsPassing(exception) && await patience.WaitAsync())
                {
                    continue;
                }

                await RefusedAsync(parts, exception);
                return;
            }
            catch (StreamsException exception)
            {
                parts.ForEach(part => Tell(part, RoundFailure.Unknown, exception));
                return;
            }
            catch (Exception exception)
            {
                database.ForgetConnections();
                if (isSent ? await ResolveAsync(parts, patience, exception) : await patience.WaitAsync())
                {
                    continue;
                }

                parts.ForEach(part => Tell(part, isSent ? RoundFailure.Unknown : RoundFailure.NotWritten, exception));
                return;
            }
        }
    }

    /// <summary>The server refused the transaction: when it was for one log's sake the others need not suffer.</summary>
    private async Task RefusedAsync(List<RoundPart> parts, Exception exception)
    {
        if (PostgresErrors.IsDiskFull(exception) || parts.Count == 1)
        {
            var failure = PostgresErrors.IsDiskFull(exception) ? RoundFailure.DiskFull : RoundFailure.NotWritten;
            parts.ForEach(part => Tell(part, failure, exception));
            return;
        }

        foreach (var part in parts)
        {
            await WriteAsync([part]);
        }
    }

    /// <summary>
    /// The connection was lost after the round was sent. Asks until there is an answer; parts that were not written stay, to be written again. False when
    /// the server stays away.
    /// </summary>
    private async Task<bool> ResolveAsync(List<RoundPart> parts, Patience patience, Exception lost)
    {
        Logger.AskingForRound(parts.Count, lost.Message);
        while (await patience.WaitAsync())
        {
            List<(RoundPart Part, PartFate Fate)> fates;
            try
            {
                await using var connection = await database.OpenWriterAsync();
                fates = await RoundStatements.AskAsync(connection, parts);
            }
            catch (Exception)
            {
                // Whatever it was, the answer is still owed; the bound ends the asking.
                database.ForgetConnections();
                continue;
            }

            Logger.RoundResolved(
                fates.Count(entry => entry.Fate == PartFate.Written), fates.Count(entry => entry.Fate == PartFate.NotWritten), fates.Count(entry => entry.Fate > PartFate.NotWritten));
            foreach (var (part, fate) in fates.Where(entry => entry.Fate != PartFate.NotWritten))
            {
                parts.Remove(part);
                Tell(part, fate switch { PartFate.Written => null, PartFate.Fenced => RoundFailure.Fenced, _ => RoundFailure.FencedUnknown }, lost);
            }

            return true;
        }

        return false;
    }

    private void Tell(RoundPart part, RoundFailure? failure, Exception? cause = null)
    {
        if (failure is { } known ? part.Owner.Failed(part, known, cause) : part.Owner.Written(part))
        {
            Enqueue(part.Owner);
        }
    }
}
