using System.Text.Json;

namespace OrleansStreams.Silo.Samples;

/// <summary>
/// Cuts a stream into its top-level JSON objects: the elements of one array, or one object after another (JSON lines). Holds one buffer, as large
/// as the largest object at least; knows each object's line.
/// </summary>
internal sealed class JsonObjectScanner(Stream stream, bool isArray, Func<long, string, Exception?, Exception> wrong)
{
    private const int ObjectBytesMax = 16 * 1024 * 1024;

    private byte[] _buffer = new byte[64 * 1024];
    private int _start;
    private int _end;
    private long _line = 1;
    private bool _atEnd;
    private bool _opened;
    private bool _first = true;

    /// <summary>The object found by <see cref="Next"/>; valid until the next call.</summary>
    public ReadOnlyMemory<byte> Current { get; private set; }

    /// <summary>The line on which it begins, from 1.</summary>
    public long Line { get; private set; }

    /// <summary>Goes to the next object; false at the end of a well-formed input.</summary>
    public bool Next()
    {
        if (!_opened)
        {
            _opened = true;
            if (isArray)
            {
                SkipSpace();
                Step();
            }
        }

        if (!FindObject())
        {
            return false;
        }

        Line = _line;
        var length = ObjectLength();
        Current = _buffer.AsMemory(_start, length);
        CountLines(length);
        _start += length;
        return true;
    }

    /// <summary>Moves to the next opening brace, past the comma that an array wants between elements.</summary>
    private bool FindObject()
    {
        var next = SkipSpace();
        if (isArray && next == ']')
        {
            Step();
            return SkipSpace() == -1 ? false : throw wrong(_line, "there is something after the array's end", null);
        }

        if (next == -1)
        {
            return isArray ? throw wrong(_line, "the array is not closed: the file is cut off", null) : false;
        }

        if (isArray && !_first)
        {
            if (next != ',')
            {
                throw wrong(_line, "a comma is missing between two rows", null);
            }

            Step();
            next = SkipSpace();
        }

        _first = false;
        return next == '{' ? true : throw wrong(_line, "a row must be a JSON object", null);
    }

    /// <summary>The bytes of the object at the start; reads on until its closing brace is there.</summary>
    private int ObjectLength()
    {
        while (true)
        {
            var reader = new Utf8JsonReader(_buffer.AsSpan(_start, _end - _start), _atEnd, default);
            try
            {
                reader.Read();
                if (reader.TrySkip())
                {
                    return (int)reader.BytesConsumed;
                }
            }
            catch (JsonException error)
            {
                throw wrong(_line + (error.LineNumber ?? 0), $"not JSON: {FlightFile.ShortMessage(error)}", error);
            }

            if (!Fill())
            {
                throw wrong(_line, "the row is cut off", null);
            }
        }
    }

    /// <summary>Skips white space and a byte order mark; the byte there, or -1 at the end.</summary>
    private int SkipSpace()
    {
        while (true)
        {
            while (_start < _end)
            {
                var next = _buffer[_start];
                if (next is not ((byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n' or 0xEF or 0xBB or 0xBF))
                {
                    return next;
                }

                Step();
            }

            if (!Fill())
            {
                return -1;
            }
        }
    }

    private void Step()
    {
        CountLines(1);
        _start++;
    }

    private void CountLines(int length) => _line += _buffer.AsSpan(_start, length).Count((byte)'\n');

    private bool Fill()
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
        }

        if (_end == _buffer.Length)
        {
            if (_buffer.Length >= ObjectBytesMax)
            {
                throw wrong(_line, $"a row is larger than {ObjectBytesMax / (1024 * 1024)} MiB", null);
            }

            Array.Resize(ref _buffer, _buffer.Length * 2);
        }

        if (_atEnd)
        {
            return false;
        }

        var read = stream.Read(_buffer, _end, _buffer.Length - _end);
        _end += read;
        if (read == 0)
        {
            _atEnd = true;

            // The caller looks once more at what is there, now knowing that it is all.
            return _start < _end;
        }

        return true;
    }
}
