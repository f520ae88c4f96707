namespace OrleansStreams.Log;

/// <summary>A grain with requests that only wait for something to come. The host ends them before it moves the activation, which waits for all requests under way.</summary>
internal interface ILongPolls
{
    /// <summary>Answers them with what there is, as if their time were over. To be called in a turn of the grain.</summary>
    void EndLongPolls();
}
