namespace OrleansStreams.Storage;

/// <summary>
/// A buffer that its owner and its readers share: whoever lets go last gives it back for further use. A reader that never lets go keeps
/// its bytes for as long as it likes; the buffer is then left to the garbage collector.
/// </summary>
internal sealed class LentBuffer(byte[] bytes, Action<byte[]>? giveBack)
{
    // The owner counts as one.
    private int _holders = 1;

    /// <summary>The bytes.</summary>
    public byte[] Bytes => bytes;

    /// <summary>Lends it once more; call while it is held.</summary>
    public IDisposable Lend()
    {
        Interlocked.Increment(ref _holders);
        return new Loan(this);
    }

    /// <summary>The owner's holding becomes a loan.</summary>
    public IDisposable HandOver() => new Loan(this);

    /// <summary>The owner lets go, once.</summary>
    public void Release()
    {
        if (Interlocked.Decrement(ref _holders) == 0)
        {
            giveBack?.Invoke(bytes);
        }
    }

    private sealed class Loan(LentBuffer buffer) : IDisposable
    {
        private LentBuffer? _buffer = buffer;

        public void Dispose() => Interlocked.Exchange(ref _buffer, null)?.Release();
    }
}
