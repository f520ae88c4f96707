using System.Runtime.InteropServices;

namespace OrleansStreams.Benchmarks.Reports;

/// <summary>
/// Touches as much memory as a phase is about to need. A virtual machine may hand freed memory back to its host, and the page cache then grows at a tenth
/// of its speed (DESIGN 11): without this, a figure says how fast the host gives memory out.
/// </summary>
internal static unsafe class WarmMemory
{
    private const int PageBytes = 4096;
    private const long Most = 4L << 30;

    public static void Touch(long bytes)
    {
        // Outside of the collector's heap, so that it goes back to the system as free pages and not into the phase's heap.
        var wanted = Math.Min(bytes, Most);
        var memory = (byte*)NativeMemory.Alloc((nuint)wanted);
        for (long at = 0; at < wanted; at += PageBytes)
        {
            memory[at] = 1;
        }

        NativeMemory.Free(memory);
    }
}
