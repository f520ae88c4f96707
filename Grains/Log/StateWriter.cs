namespace OrleansStreams.Log;

/// <summary>Replaces a grain's stored state.</summary>
internal static class StateWriter
{
    /// <summary>
    /// Writes a new state. On failure memory holds the old one again and the error is retriable; what is stored is unknown, so the caller
    /// ends its activation (<paramref name="deactivate"/>) and the next one reads it.
    /// </summary>
    public static async Task ReplaceAsync<TState>(this IPersistentState<TState> state, TState replacement, Action deactivate)
    {
        var before = state.State;
        state.State = replacement;
        try
        {
            await state.WriteStateAsync();
        }
        catch (Exception exception)
        {
            state.State = before;
            deactivate();
            throw new StreamsException(StreamsErrorCode.StorageError, $"The state could not be stored ({exception.Message}): try again.", WriteOutcome.Unknown, exception);
        }
    }
}
