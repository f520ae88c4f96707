using System.Globalization;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>Records that cannot be processed (see <see cref="ErrorPolicy"/>).</summary>
internal sealed partial class TaskEngine
{
    private const long NotMarked = long.MaxValue;

    private readonly Dictionary<(int Input, long Offset), PoisonRecord> _marked = [];
    private long _recordsOutBefore;
    private int _droppedLetters;
    private string? _lastDroppedLetter;

    /// <summary>Why the last record was taken out; null when none was since the engine was made.</summary>
    public string? LastTakenOut { get; private set; }

    /// <summary>Whether a record that cost a restore was taken out since the last commit, which is then due: the next such record must not cost this one again.</summary>
    public bool HasTakenOutMarked { get; private set; }

    /// <summary>Takes a record out that another engine has failed on, when it comes.</summary>
    public void TakeOut(PoisonRecord poison) => _marked[(poison.Input, poison.Offset)] = poison;

    /// <summary>Whether a record is behind the task's position.</summary>
    public bool IsPast(PoisonRecord poison) => (_state.File is { } file ? file.Line : _state.Positions[poison.Input] - 1) >= poison.Offset;

    /// <summary>The first record of an input, at or after an offset, that is to be taken out.</summary>
    private long NextMarked(int input, long from)
    {
        var next = NotMarked;
        foreach (var (marked, offset) in _marked.Keys)
        {
            next = marked == input && offset >= from ? Math.Min(next, offset) : next;
        }

        return next;
    }

    private void BuryMarked(int input, long offset)
    {
        _marked.Remove((input, offset), out var poison);
        HasTakenOutMarked = true;
        Bury(poison!);
    }

    private void Bury(PoisonRecord poison)
    {
        _hasChanges = true;
        _state.RecordsIn++;
        _context.SkippedRecords++;
        LastTakenOut = poison.Reason;
        if (poison.Letter is { } letter)
        {
            Send(letter, poison.Reason);
        }
    }

    /// <summary>
    /// Sends a letter as far as its topic takes it: without the stack, then without the message, when it is too large. What the topic does not take at all is dropped and told: a record that is
    /// taken out must not stop the task.
    /// </summary>
    private void Send(DeadLetter letter, string reason)
    {
        foreach (var header in (string?[])[DeadLetterHeaders.Stack, DeadLetterHeaders.Message, null])
        {
            try
            {
                _outbox.Append(_outbox.IndexOf(letter.Topic), letter.Timestamp, letter.Key, letter.Key is null, letter.Value, letter.Value is null, letter.Headers);
                _state.DeadLetters++;
                return;
            }
            catch (StreamsException error) when (error.Code == StreamsErrorCode.RecordTooLarge && header is not null)
            {
                letter = letter.Without(header);
            }
            catch (StreamsException error) when (error.Code is StreamsErrorCode.RecordTooLarge or StreamsErrorCode.InvalidRecord)
            {
                _droppedLetters++;
                _lastDroppedLetter = $"{reason} {error.Message}";
            }
        }
    }

    private void BeginRecord()
    {
        _context.IsInRecord = true;
        _context.IsTouched = false;
        _recordsOutBefore = _outbox.Records;
    }

    /// <summary>A record of a topic failed: takes it out, or throws.</summary>
    private void OnRecordFailed(int input, in RecordView record, long offset, Exception error)
    {
        var topic = _plan.PartitionOf(input).Topic;
        var what = string.Create(CultureInfo.InvariantCulture, $"record at offset {offset} of topic '{topic}', partition {_plan.Partition}");
        var policy = PolicyOf(input, what, error);
        var letter = policy.Topic is null ? null : DeadLetter.Of(
            policy.Topic, record.Timestamp, record.KeyIsNull ? null : record.Key.ToArray(), record.ValueIsNull ? null : record.Value.ToArray(), record.GetHeaders(), _plan, topic, offset, error);
        BuryOrThrow(new PoisonRecord(input, offset, Reason(what, error), letter), error);
    }

    /// <summary>A line of the file failed: takes it out, or throws.</summary>
    private void OnLineFailed(ReadOnlySpan<byte> line, long number, Exception error)
    {
        var path = _plan.SubTopology.File!.Path;
        var what = string.Create(CultureInfo.InvariantCulture, $"line {number} of file {path}");
        var policy = PolicyOf(0, what, error);
        var letter = policy.Topic is null ? null : DeadLetter.Of(policy.Topic, Math.Max(_context.ClockMs, 0), null, line.ToArray(), [], _plan, path, number, error);
        BuryOrThrow(new PoisonRecord(0, number, Reason(what, error), letter), error);
    }

    private ErrorPolicy PolicyOf(int input, string what, Exception error)
    {
        var policy = _plan.SubTopology.Errors[input];
        if (!_context.IsInRecord || !PoisonRecord.CanCause(error))
        {
            ThrowFailed(what, error);
        }

        if (!policy.TakesOut)
        {
            ThrowFailed(what, error, " To go on without such records, choose ErrorPolicy.Skip or ErrorPolicy.DeadLetter with OnError.");
        }

        return policy;
    }

    private void BuryOrThrow(PoisonRecord poison, Exception error)
    {
        var hasNoEffect = !_context.IsTouched && _outbox.Records == _recordsOutBefore;
        _context.IsInRecord = false;
        if (!hasNoEffect)
        {
            throw new PoisonRecordException(poison, error);
        }

        // Steps take these back behind what they call, which did not return.
        _context.Headers = null;
        _context.ValueIsNull = false;
        Bury(poison);
    }

    private static string Reason(string what, Exception error) => $"{what}: {error.GetType().Name}: {error.Message}";
}
