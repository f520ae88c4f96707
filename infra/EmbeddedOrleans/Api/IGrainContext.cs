namespace Orleans.Runtime;

/// <summary>The context of one activation.</summary>
public interface IGrainContext
{
}
