namespace OrleansStreams.Samples;

/// <summary>What the samples talk about; its key is the customer.</summary>
/// <param name="Number">Counts the producer's orders.</param>
/// <param name="Item">What was ordered.</param>
/// <param name="Cents">What it costs.</param>
public sealed record Order(int Number, string Item, int Cents);
