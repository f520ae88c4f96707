// An embedded API that is wrong in every way that the parity test must find.
namespace ParityFixture.Orleans
{
    public interface IInvented
    {
    }

    public interface IGrainFactory
    {
    }

    public enum DeactivationReasonCode : byte
    {
        None = 0,
        ShuttingDown = 9,
    }
}

namespace ParityFixture.Orleans.Runtime
{
    public interface IGrainTimer : System.IDisposable, System.ICloneable
    {
        void Change(System.TimeSpan dueTime);

        void Pause();
    }
}

namespace ParityFixture.Orleans.Concurrency
{
    public static class ReentrantAttribute
    {
    }

    [System.AttributeUsage(System.AttributeTargets.Class)]
    public sealed class OneWayAttribute : System.Attribute
    {
    }
}
